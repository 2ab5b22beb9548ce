//! What the nodes printed, in a window of time.

use crate::error::StoreError;
use crate::id::component;
use crate::run_dir::RunDir;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The stream of a node that a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name of its file in a node's directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout.log",
            Stream::Stderr => "stderr.log",
        }
    }
}

/// One line that a node printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// The node's name.
    pub node: String,
    /// Where it came from.
    pub stream: Stream,
    /// When it was captured; absent when its prefix is not a time.
    pub at: Option<DateTime<Utc>>,
    /// The line without its time; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this node's.
    pub node: Option<String>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Not after this time.
    pub to: Option<DateTime<Utc>>,
    /// At most so many lines of each file.
    pub limit: usize,
}

/// Reads the lines of all nodes that the query wants, in the order of time. Lines without a readable time belong to the
/// line before them, such as the rest of a stack trace. Files are streamed, so memory is bounded by the limit.
///
/// # Errors
/// [`StoreError::BadId`] when the node is not a plain name, [`StoreError::Io`] when a log cannot be read.
pub fn read_logs(run: &RunDir, query: &LogQuery) -> Result<Vec<LogLine>, StoreError> {
    let nodes = match &query.node {
        Some(node) => {
            component(node)?;
            vec![node.clone()]
        }
        None => run.nodes(),
    };
    let mut lines = Vec::new();
    for node in nodes {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let name = format!("nodes/{node}/{}", stream.file_name());
            if let Some(path) = run.file(&name)? {
                read_file(&path, &node, stream, query, &mut lines)?;
            }
        }
    }
    // Stable: within one instant and one file the order of the file stays.
    lines.sort_by_key(|(at, _)| *at);
    let lines = lines.into_iter().map(|(_, line)| line);
    Ok(lines.take(query.limit).collect())
}

/// The time that places the line, its own or that of the line before it, and the line.
type Placed = (Option<DateTime<Utc>>, LogLine);

fn read_file(
    path: &Path,
    node: &str,
    stream: Stream,
    query: &LogQuery,
    lines: &mut Vec<Placed>,
) -> Result<(), StoreError> {
    let mut reader = BufReader::new(File::open(path).map_err(StoreError::io("open", path))?);
    let mut buffer = Vec::new();
    let mut last = None;
    let mut taken = 0;
    while taken < query.limit {
        if !read_line(&mut reader, &mut buffer).map_err(StoreError::io("read", path))? {
            break;
        }
        let (at, text) = split(&buffer);
        last = at.or(last);
        if query.to.is_some_and(|to| last.is_some_and(|l| l > to)) {
            break;
        }
        let wanted = query.from.is_none_or(|from| last.is_some_and(|l| l >= from));
        if wanted {
            lines.push((last, LogLine { node: node.to_owned(), stream, at, text }));
            taken += 1;
        }
    }
    Ok(())
}

/// Reads a line without its end into `buffer`, keeping its first 16 KiB; false at the end of the file.
fn read_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    buffer.clear();
    let mut any = false;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = chunk.iter().position(|b| *b == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let room = LINE_BYTES_MAX.saturating_sub(buffer.len());
        buffer.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn split(line: &[u8]) -> (Option<DateTime<Utc>>, String) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let parsed = text.split_once(' ').and_then(|(prefix, rest)| {
        let at = DateTime::parse_from_rfc3339(prefix).ok()?;
        Some((at.with_timezone(&Utc), rest.to_owned()))
    });
    match parsed {
        Some((at, rest)) => (Some(at), rest),
        None => (None, text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;
    use std::fs;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    fn run() -> (tempfile::TempDir, RunDir) {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(RunId::new("a", "t").unwrap(), dir.path().to_owned());
        let one = run.node_dir("1").unwrap();
        let out = "2026-11-23T12:00:00.000000Z started\n2026-11-23T12:00:02Z boom\n  at line 3\n";
        fs::write(one.join("stdout.log"), out).unwrap();
        fs::write(one.join("stderr.log"), b"2026-11-23T12:00:01Z odd \xff byte").unwrap();
        let two = run.node_dir("2").unwrap();
        fs::write(two.join("stdout.log"), "2026-11-23T12:00:01.500Z <script>\n").unwrap();
        (dir, run)
    }

    #[test]
    fn lines_of_all_nodes_are_merged_by_time() {
        let (_dir, run) = run();
        let lines = read_logs(&run, &LogQuery { limit: 100, ..LogQuery::default() }).unwrap();
        let texts: Vec<&str> = lines.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(texts, ["started", "odd \u{fffd} byte", "<script>", "boom", "  at line 3"]);
        assert_eq!(lines[1].stream, Stream::Stderr);
        assert_eq!(lines[4].at, None);
    }

    #[test]
    fn a_window_keeps_the_lines_that_follow_an_untimed_one() {
        let (_dir, run) = run();
        let query = LogQuery {
            node: Some("1".into()),
            from: Some(at("2026-11-23T12:00:01.5Z")),
            to: Some(at("2026-11-23T12:00:03Z")),
            limit: 10,
        };
        let lines = read_logs(&run, &query).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].text, "boom");
        let early = LogQuery { to: Some(at("2026-11-23T12:00:00.5Z")), ..query.clone() };
        assert_eq!(read_logs(&run, &LogQuery { from: None, ..early }).unwrap().len(), 1);
        let elsewhere = LogQuery { node: Some("../..".into()), ..query };
        assert!(read_logs(&run, &elsewhere).is_err());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut reader = BufReader::new(std::io::repeat(b'x').take_bytes(1 << 20));
        let mut buffer = Vec::new();
        assert!(read_line(&mut reader, &mut buffer).unwrap());
        assert_eq!(buffer.len(), LINE_BYTES_MAX);
        assert!(!read_line(&mut reader, &mut buffer).unwrap());
    }

    trait TakeBytes: std::io::Read + Sized {
        fn take_bytes(self, n: u64) -> std::io::Take<Self> {
            self.take(n)
        }
    }
    impl TakeBytes for std::io::Repeat {}
}
