//! The recorder: one ordered, append-only history on disk.
//!
//! An event is handed to the operating system, in one write, before [`Recorder::record`] returns, and an invocation is
//! recorded before the request leaves the client. So whatever dies from then on, the history can be checked: at worst
//! its last line is torn, which readers salvage. A flush to the disk itself follows every second and at the end, for
//! the case that the whole machine dies.

use perjury_history::{Event, F, Header, Kind, Mop, OpError, Payload, Process};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// Why the recorder could not do its work. Such a run is never *valid*.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The history could not be created.
    #[error("cannot create the history {path}: {source}; choose another --store or free the path")]
    Create {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An event could not be written.
    #[error("cannot append to the history {path}: {source}; is the disk full?")]
    Append {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The header or an event has no JSON form.
    #[error("cannot encode an event: {0}")]
    Encode(#[from] serde_json::Error),
}

/// An event before it has an index and a time.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who did it.
    pub process: Process,
    /// Asked, or how it ended.
    pub kind: Kind,
    /// What was asked.
    pub f: F,
    /// The argument, or the result.
    pub value: Payload,
    /// Why it failed or is unknown.
    pub error: Option<OpError>,
    /// Everything else.
    pub ext: serde_json::Map<String, serde_json::Value>,
}

impl Draft {
    /// An event without error or extensions.
    pub fn new(process: Process, kind: Kind, f: F, value: Payload) -> Self {
        Draft { process, kind, f, value, error: None, ext: serde_json::Map::new() }
    }

    /// An event of the nemesis or of the cluster, always info.
    pub fn note(process: Process, f: &str, value: serde_json::Value) -> Self {
        Draft::new(process, Kind::Info, F::parse(f), Payload::Json(value))
    }

    /// The same event with one extension more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.ext.insert(name.into(), value.into());
        self
    }
}

#[derive(Debug)]
struct Inner {
    file: File,
    line: Vec<u8>,
    next: u64,
    last_time: i64,
    failed: bool,
    /// The threads that got an answer that says something.
    answered: BTreeSet<u32>,
}

/// Appends events to one history file. Shared by reference between all clients, the nemesis and the observer.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    origin: Instant,
    /// The processes of one thread differ by multiples of it.
    stride: u32,
    inner: Mutex<Inner>,
}

impl Recorder {
    /// Creates the history and writes its header without the secrets that client properties may hold. `origin` is time
    /// zero of all events.
    ///
    /// # Errors
    /// When the file exists already or cannot be created or written.
    pub fn create(path: &Path, header: &Header, origin: Instant) -> Result<Self, RecorderError> {
        let create = |source| RecorderError::Create { path: path.into(), source };
        let mut file =
            OpenOptions::new().append(true).create_new(true).open(path).map_err(create)?;
        let header = perjury_secrets::clean(serde_json::to_value(header)?);
        let mut line = serde_json::to_vec(&header)?;
        line.push(b'\n');
        file.write_all(&line).map_err(create)?;
        file.sync_data().map_err(create)?;
        let inner =
            Inner { file, line, next: 0, last_time: 0, failed: false, answered: BTreeSet::new() };
        Ok(Recorder { path: path.into(), origin, stride: u32::MAX, inner: Mutex::new(inner) })
    }

    /// The same for so many threads of clients and one for the final reads: each has the processes that differ from its
    /// number by multiples of their count. Without this each process is taken for a thread.
    #[must_use]
    pub fn with_threads(self, threads: u32) -> Self {
        Recorder { stride: threads.saturating_add(1), ..self }
    }

    /// Time zero of the history.
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// Nanoseconds since time zero.
    pub fn now(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// Appends an event and gives its index and its time in nanoseconds. Order of index is order of time.
    ///
    /// # Errors
    /// When the event cannot be encoded or written. After the first failure every call fails, so that no history with
    /// a hole in it comes to be.
    pub fn record(&self, draft: Draft) -> Result<(u64, i64), RecorderError> {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let inner = &mut *inner;
        if inner.failed {
            let source = std::io::Error::other("an earlier event could not be written");
            return Err(RecorderError::Append { path: self.path.clone(), source });
        }
        let time = self.now().max(inner.last_time);
        let Draft { process, kind, f, value, error, ext } = draft;
        let event = Event {
            index: inner.next,
            time: Some(time),
            process: Some(process),
            kind,
            f,
            value,
            error,
            ext,
        };
        inner.line.clear();
        serde_json::to_writer(&mut inner.line, &event)?;
        inner.line.push(b'\n');
        if let Err(source) = inner.file.write_all(&inner.line) {
            inner.failed = true;
            return Err(RecorderError::Append { path: self.path.clone(), source });
        }
        inner.next += 1;
        inner.last_time = time;
        if let Some(Process::Client(process)) = event.process
            && is_answer(&event)
        {
            inner.answered.insert(process % self.stride);
        }
        Ok((event.index, time))
    }

    /// How many events were recorded.
    pub fn len(&self) -> u64 {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next
    }

    /// How many threads got an answer from the cluster that says something.
    pub fn answered(&self) -> u32 {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        u32::try_from(inner.answered.len()).unwrap_or(u32::MAX)
    }

    /// Whether nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Flushes to the disk itself.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<(), RecorderError> {
        let append = |source| RecorderError::Append { path: self.path.clone(), source };
        let file = {
            let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            inner.file.try_clone().map_err(append)?
        };
        file.sync_data().map_err(append)
    }
}

/// Whether an event shows that the cluster answered: not what a client does by itself, and no poll that found nothing.
fn is_answer(event: &Event) -> bool {
    event.kind == Kind::Ok
        && match &event.value {
            Payload::Mops(mops) => mops.iter().any(|mop| match mop {
                Mop::Poll(records) => records.as_ref().is_some_and(|keys| !keys.is_empty()),
                _ => true,
            }),
            Payload::Json(value) => !value.is_null(),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_on_disk_when_record_returns_with_dense_indices_and_ordered_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let recorder = Recorder::create(&path, &Header::default(), Instant::now()).unwrap();
        std::thread::scope(|scope| {
            for p in 0..4 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let draft =
                            Draft::new(Process::Client(p), Kind::Invoke, F::Poll, Payload::None);
                        recorder.record(draft).unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let events: Vec<Event> =
            text.lines().skip(1).map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(events.len(), 200);
        assert!(events.iter().enumerate().all(|(i, e)| e.index == i as u64));
        assert!(events.windows(2).all(|w| w[0].time <= w[1].time));
    }

    #[test]
    fn the_processes_of_one_thread_count_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let recorder = Recorder::create(&path, &Header::default(), Instant::now()).unwrap();
        let recorder = recorder.with_threads(2);
        for (process, kind) in [(0, Kind::Ok), (3, Kind::Ok), (6, Kind::Ok), (4, Kind::Fail)] {
            let value = Payload::Json(serde_json::json!(["an answer"]));
            recorder.record(Draft::new(Process::Client(process), kind, F::Poll, value)).unwrap();
        }
        assert_eq!(recorder.answered(), 1);
        let value = Payload::Json(serde_json::json!(["an answer"]));
        recorder.record(Draft::new(Process::Client(4), Kind::Ok, F::Poll, value)).unwrap();
        assert_eq!(recorder.answered(), 2);
    }

    #[test]
    fn a_password_among_the_client_properties_never_reaches_the_history() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let plan = serde_json::json!({"client": {"properties": {"sasl.password": "hunter2"}}});
        let header = Header { plan, ..Header::default() };
        Recorder::create(&path, &header, Instant::now()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("sasl.password") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_existing_history_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        std::fs::write(&path, "precious").unwrap();
        let error = Recorder::create(&path, &Header::default(), Instant::now()).unwrap_err();
        assert!(error.to_string().contains("history.jsonl"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn after_a_failed_write_nothing_more_is_recorded() {
        // /dev/full accepts the open and refuses every write, like a full disk.
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let inner = Inner {
            file,
            line: Vec::new(),
            next: 0,
            last_time: 0,
            failed: false,
            answered: BTreeSet::new(),
        };
        let recorder = Recorder {
            path: "/dev/full".into(),
            origin: Instant::now(),
            stride: u32::MAX,
            inner: Mutex::new(inner),
        };
        let draft = || Draft::new(Process::Client(0), Kind::Invoke, F::Poll, Payload::None);
        assert!(matches!(recorder.record(draft()), Err(RecorderError::Append { .. })));
        assert!(matches!(recorder.record(draft()), Err(RecorderError::Append { .. })));
        assert_eq!(recorder.len(), 0);
    }
}
