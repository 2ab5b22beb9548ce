//! Captured output of a node: timestamped files, the last lines in memory, warnings as events.

use crate::events::{ClusterEventKind, EventBus};
use crate::node::NodeId;
use crate::sync::locked;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// How many lines of a node are kept in memory, both streams together.
const RING_LINES: usize = 200;
/// A longer line is cut into several, so that output without line ends cannot fill the memory.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// A warning is cut at this length when it becomes an event.
const MAX_EVENT_BYTES: usize = 2_000;
/// How many warnings of a node become events within one window.
const EVENTS_PER_WINDOW: u32 = 20;
/// The length of the window for the limit above.
const EVENT_WINDOW: Duration = Duration::from_secs(1);
/// A warning that differs from an earlier one by its numbers at most (such as its time) becomes an
/// event again only after this long: a node that cannot reach a peer says so many times a second.
const REPEAT_AFTER: Duration = Duration::from_secs(10);
/// How many different warnings are remembered for that.
const REMEMBERED: usize = 64;

/// The stream that a line came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    fn file_name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout.log",
            Self::Stderr => "stderr.log",
        }
    }
}

/// The severity of a line that is reported as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// A warning.
    Warn,
    /// An error, a fatal message or a panic.
    Error,
}

/// The level of a log line at warn or above, judged by the level words that Rust's `tracing`, log4j
/// and librdkafka-like servers print in capitals near the start of a line; `None` for anything else.
#[must_use]
pub fn log_level(line: &str) -> Option<LogLevel> {
    let head: String = line.chars().take(120).collect();
    if head.contains("panicked at") {
        return Some(LogLevel::Error);
    }
    head.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word {
        "WARN" | "WARNING" => Some(LogLevel::Warn),
        "ERROR" | "FATAL" | "CRITICAL" => Some(LogLevel::Error),
        _ => None,
    })
}

/// The line without ANSI escape sequences (ECMA-48 control sequences: `ESC [ … final byte`).
#[must_use]
pub fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if chars.next() == Some('[') {
            // The final byte of a control sequence lies in 0x40..=0x7e.
            chars.by_ref().find(|c| ('@'..='~').contains(c));
        }
    }
    plain
}

/// A line as it is written to a log file: RFC 3339 time with microseconds in UTC, a blank, the text.
#[must_use]
pub fn prefixed(at: DateTime<Utc>, line: &str) -> String {
    format!("{} {line}\n", at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The last lines that a node wrote.
#[derive(Debug, Default)]
pub struct LogRing {
    lines: Mutex<VecDeque<String>>,
}

impl LogRing {
    fn push(&self, line: String) {
        let mut lines = locked(&self.lines);
        if lines.len() == RING_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The last `count` lines, oldest first, without colour codes. At most 200 are kept.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let lines = locked(&self.lines);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Forgets everything; the files keep it.
    pub fn clear(&self) {
        locked(&self.lines).clear();
    }
}

/// Limits how many warnings of a node become events.
#[derive(Debug)]
struct Limiter {
    window_start: Instant,
    emitted: u32,
    dropped: u64,
    recent: VecDeque<(String, Instant)>,
}

impl Limiter {
    fn new(now: Instant) -> Self {
        Self { window_start: now, emitted: 0, dropped: 0, recent: VecDeque::new() }
    }

    /// Whether this line may become an event; then how many were left out since the last one.
    fn admit(&mut self, now: Instant, line: &str) -> Option<u64> {
        if now.saturating_duration_since(self.window_start) >= EVENT_WINDOW {
            self.window_start = now;
            self.emitted = 0;
        }
        self.recent.retain(|(_, at)| now.saturating_duration_since(*at) < REPEAT_AFTER);
        let shape = shape(line);
        let repeated = self.recent.iter().any(|(known, _)| *known == shape);
        if repeated || self.emitted >= EVENTS_PER_WINDOW {
            self.dropped += 1;
            return None;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((shape, now));
        self.emitted += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// The line with every run of digits made the same.
fn shape(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !shape.ends_with('0') {
            shape.push(c);
        }
    }
    shape
}

/// Finds the milestones among log lines: a line without colour codes → what it tells, such as `ready`.
pub type MilestoneReader = fn(&str) -> Option<&'static str>;

/// Where the output of one node goes.
#[derive(Clone, Debug)]
pub struct LogCapture {
    milestones: Option<MilestoneReader>,
    node: NodeId,
    dir: PathBuf,
    ring: Arc<LogRing>,
    events: EventBus,
    limiter: Arc<Mutex<Limiter>>,
}

impl LogCapture {
    /// Captures the output of `node` into `dir` (`stdout.log`, `stderr.log`, appended to).
    #[must_use]
    pub fn new(node: NodeId, dir: PathBuf, events: EventBus) -> Self {
        let limiter = Limiter::new(Instant::now());
        let limiter = Arc::new(Mutex::new(limiter));
        Self { milestones: None, node, dir, ring: Arc::default(), events, limiter }
    }

    /// The same that also reports milestones.
    #[must_use]
    pub fn with_milestones(self, milestones: Option<MilestoneReader>) -> Self {
        Self { milestones, ..self }
    }

    /// The last lines of this node.
    #[must_use]
    pub fn ring(&self) -> &LogRing {
        &self.ring
    }

    /// The folder that holds the log files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Emits an event about this node.
    pub(crate) fn announce(&self, kind: ClusterEventKind) {
        self.events.emit(Some(self.node), kind);
    }

    /// Opens the log file of a stream for appending, making the folder where it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn open(&self, stream: LogStream) -> io::Result<File> {
        std::fs::create_dir_all(&self.dir)?;
        OpenOptions::new().create(true).append(true).open(self.dir.join(stream.file_name()))
    }

    /// Reads `source` line by line until it ends, into the file, the ring and the events.
    pub(crate) async fn pump<R: AsyncRead + Unpin>(
        self,
        stream: LogStream,
        source: R,
        mut file: File,
    ) {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        let mut write_failed = false;
        let secrets = perjury_secrets::Secrets::new();
        loop {
            match read_line(&mut reader, &mut line).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(node = %self.node, %error, "output of a node cannot be read");
                    break;
                }
            }
            let text = String::from_utf8_lossy(&line);
            // Servers print their configuration at their start.
            let text = secrets.text(&text).into_owned();
            // A full disk must not block the node on a full pipe, so reading goes on.
            if let Err(error) = file.write_all(prefixed(Utc::now(), &text).as_bytes())
                && !std::mem::replace(&mut write_failed, true)
            {
                tracing::error!(node = %self.node, %error, "log file of a node cannot be written");
            }
            self.keep(stream, &text);
        }
    }

    fn keep(&self, stream: LogStream, text: &str) {
        let plain = without_colour(text);
        if let Some(level) = log_level(&plain) {
            self.emit(level, stream, &plain);
        }
        if let Some(what) = self.milestones.and_then(|read| read(&plain)) {
            let line = plain[..plain.floor_char_boundary(MAX_EVENT_BYTES)].to_owned();
            self.announce(ClusterEventKind::Milestone { what: what.to_owned(), line });
        }
        self.ring.push(plain);
    }

    fn emit(&self, level: LogLevel, stream: LogStream, plain: &str) {
        let line = &plain[..plain.floor_char_boundary(MAX_EVENT_BYTES)];
        let Some(dropped) = locked(&self.limiter).admit(Instant::now(), line) else {
            return;
        };
        if dropped > 0 {
            self.announce(ClusterEventKind::LogLinesDropped { count: dropped });
        }
        let line = line.to_owned();
        self.announce(ClusterEventKind::LogLine { level, stream, line });
    }
}

/// Reads the next line without its end into `line`, at most [`MAX_LINE_BYTES`] of it; the rest of a
/// longer one comes as the next line. `false` at the end of the stream.
async fn read_line<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    line: &mut Vec<u8>,
) -> io::Result<bool> {
    line.clear();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let room = MAX_LINE_BYTES - line.len();
        let window = &available[..available.len().min(room + 1)];
        if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&window[..end]);
            reader.consume(end + 1);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
        let taken = window.len().min(room);
        line.extend_from_slice(&window[..taken]);
        reader.consume(taken);
        if line.len() == MAX_LINE_BYTES {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn capture(dir: &Path) -> (LogCapture, tokio::sync::mpsc::Receiver<crate::ClusterEvent>) {
        let bus = EventBus::new(Clock::starting_at(Instant::now()));
        let events = bus.subscribe();
        (LogCapture::new(NodeId(1), dir.to_path_buf(), bus), events)
    }

    #[test]
    fn levels_are_found_by_their_words_only() {
        let cases = [
            ("2026-11-01T10:00:00Z  WARN perjury: slow", Some(LogLevel::Warn)),
            ("[2026-11-01 10:00:00,123] ERROR [Broker id=1] x", Some(LogLevel::Error)),
            ("[2026-11-01 10:00:00,123] FATAL x", Some(LogLevel::Error)),
            ("thread 'main' panicked at src/main.rs:3:5:", Some(LogLevel::Error)),
            ("INFO no error here, no warning either", None),
            ("INFO FORWARN=1 MYERROR", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(log_level(line), expected, "{line}");
        }
    }

    #[test]
    fn colour_codes_are_removed_and_nothing_else() {
        assert_eq!(without_colour("\u{1b}[2mx\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m é"), "x  WARN é");
        assert_eq!(without_colour("plain [text]"), "plain [text]");
        assert_eq!(without_colour("cut \u{1b}["), "cut ");
    }

    #[test]
    fn the_prefix_has_microseconds_and_utc() {
        let at = DateTime::from_timestamp(1_793_500_000, 1_234_567).unwrap();
        assert_eq!(prefixed(at, "hello"), "2026-11-01T02:26:40.001234Z hello\n");
    }

    #[tokio::test]
    async fn every_line_reaches_the_file_and_the_last_ones_the_ring() {
        let dir = tempfile::tempdir().unwrap();
        let (capture, mut events) = capture(dir.path());
        let mut input = String::new();
        for i in 0..250 {
            input.push_str(&format!("line {i}\r\n"));
        }
        input.push_str("WARN last, without a line end");
        let file = capture.open(LogStream::Stdout).unwrap();
        capture.clone().pump(LogStream::Stdout, input.as_bytes(), file).await;

        let text = std::fs::read_to_string(dir.path().join("stdout.log")).unwrap();
        assert_eq!(text.lines().count(), 251);
        let (time, rest) = text.lines().nth(7).unwrap().split_once(' ').unwrap();
        assert!(DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        assert_eq!(rest, "line 7");
        assert_eq!(capture.ring().tail(1000).len(), RING_LINES);
        assert_eq!(capture.ring().tail(2), ["line 249", "WARN last, without a line end"]);
        let event = events.try_recv().unwrap();
        assert!(matches!(event.kind, ClusterEventKind::LogLine { level: LogLevel::Warn, .. }));
        assert!(events.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_bytes_that_are_no_text_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (capture, _events) = capture(dir.path());
        let mut input = vec![b'x'; MAX_LINE_BYTES * 2 + 5];
        input.extend_from_slice(b"\n\xff\xfe\n");
        let file = capture.open(LogStream::Stderr).unwrap();
        capture.clone().pump(LogStream::Stderr, input.as_slice(), file).await;
        let lines = capture.ring().tail(10);
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [MAX_LINE_BYTES, MAX_LINE_BYTES, 5, 6]
        );
    }

    #[test]
    fn a_flood_of_different_warnings_is_limited_and_counted() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let word = |i: u32| "x".repeat(usize::try_from(i).unwrap());
        let admitted = (0..100).filter(|i| limiter.admit(start, &word(*i)).is_some()).count();
        assert_eq!(admitted, 20);
        assert_eq!(limiter.admit(start + EVENT_WINDOW, "ERROR new"), Some(80));
        assert_eq!(limiter.admit(start + EVENT_WINDOW, "ERROR newer"), Some(0));
    }

    #[test]
    fn a_warning_that_repeats_with_other_numbers_is_one_event_for_a_while() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let line = |i| format!("2026-11-01T00:00:{i:02}Z WARN peer {i} is gone, attempt {}", i * 7);
        assert_eq!(limiter.admit(start, &line(1)), Some(0));
        for i in 2..30 {
            assert_eq!(limiter.admit(start + EVENT_WINDOW * 2, &line(i)), None);
        }
        assert_eq!(limiter.admit(start + EVENT_WINDOW * 3, "WARN another"), Some(28));
        assert_eq!(limiter.admit(start + REPEAT_AFTER, &line(31)), Some(0));
    }
}
