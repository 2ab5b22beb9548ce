//! What can be wrong with a history file, said so that its owner knows where to look and what to do.

use std::fmt;

/// Why a history could not be read: the file, the place in it, what is wrong there and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{name}, {}: {kind}. {}", kind.place(*line, *column), kind.advice())]
pub struct ReadError {
    /// The file's name as the caller gave it.
    pub name: String,
    /// The line, counted from 1; 0 when no line is to blame. In a Parquet file it is the row.
    pub line: u64,
    /// The column in that line, in characters counted from 1. In a Parquet file it is the item of the row.
    pub column: u64,
    /// What is wrong.
    pub kind: ReadErrorKind,
}

/// The ways in which a history file can be unreadable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// The source failed.
    #[error("reading failed: {0}")]
    Io(std::io::Error),
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is not text.
    #[error("this is not text: {0}")]
    NotText(String),
    /// The first line of a native history is not its header.
    #[error("the first line is not the header of a Perjury history: {0}")]
    BadHeader(String),
    /// The native format's major version is newer than [`crate::FORMAT`].
    #[error("this history has format {found}, and formats up to {known} are understood")]
    NewerVersion {
        /// The version that the header names.
        found: String,
        /// The version that this reader writes.
        known: &'static str,
    },
    /// The line breaks the grammar of its format.
    #[error("this is not valid {format}: {message}")]
    Syntax {
        /// The grammar: `JSON`, `EDN`, …
        format: &'static str,
        /// What was found and what was expected.
        message: String,
    },
    /// The grammar is right, the content is not that of an event.
    #[error("{0}")]
    BadField(String),
    /// A line is longer than the limit.
    #[error("the line is longer than {limit} bytes")]
    LineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The index of an event differs from its position.
    #[error("index {found} stands where index {expected} belongs")]
    Index {
        /// The index that belongs there.
        expected: u64,
        /// The index that stands there.
        found: u64,
    },
    /// The index of a foreign event is not above that of the event before.
    #[error("operations are out of order: index {index} follows index {before}")]
    ReversedIndex {
        /// The index that stands there.
        index: i64,
        /// The index of the event before.
        before: i64,
    },
    /// Time went backwards.
    #[error("time goes back: {time} ns follows {before} ns")]
    ReversedTime {
        /// The time of the event, in nanoseconds.
        time: i64,
        /// The latest time before it, in nanoseconds.
        before: i64,
    },
    /// There are more events, micro-operations or records than a history in memory can number.
    #[error(
        "the history has more than {limit} events, or more than 2^32 - 1 micro-operations or records"
    )]
    TooMany {
        /// The limit of events.
        limit: u64,
    },
    /// No reader recognises the content.
    #[error("the format was not recognised: {0}")]
    UnknownFormat(String),
    /// A Parquet file is damaged, or holds something else than a history.
    #[error("this is not a Parquet file that holds a Perjury history: {0}")]
    Parquet(String),
}

impl ReadErrorKind {
    /// What the file's owner can do.
    pub fn advice(&self) -> &'static str {
        match self {
            ReadErrorKind::Io(_) => "Check the medium and the permissions, then read it again",
            ReadErrorKind::Empty => {
                "A run that was stopped before it began leaves such a file: there is nothing to check"
            }
            ReadErrorKind::NotText(_) => {
                "Unpack it if it is compressed, and make sure that it is the history and not another file of the run"
            }
            ReadErrorKind::BadHeader(_) => {
                "If the file comes from another tool, name its format with --format; otherwise restore its first line"
            }
            ReadErrorKind::NewerVersion { .. } => {
                "Read it with the version of perjury that wrote it, or a later one"
            }
            ReadErrorKind::Syntax { .. } | ReadErrorKind::BadField(_) => {
                "Mend or remove this line, or name the right format with --format"
            }
            ReadErrorKind::LineTooLong { .. } => {
                "No event needs a line that long: make sure that this is a history and that its line ends are intact"
            }
            ReadErrorKind::Index { .. } => {
                "Lines were lost, doubled or reordered after the recording: take the original file of the run"
            }
            ReadErrorKind::ReversedIndex { .. } => {
                "Every judgement goes by the order of operations: sort them by their index, and check histories that \
                 were put together one by one"
            }
            ReadErrorKind::ReversedTime { .. } => {
                "Order cannot be trusted, so nothing can be judged: take the original file of the run, \
                 and check the recorder if it is the original"
            }
            ReadErrorKind::TooMany { .. } => {
                "Split the history by topic-partition and check the parts"
            }
            ReadErrorKind::UnknownFormat(_) => "Name the format with --format",
            ReadErrorKind::Parquet(_) => {
                "Make it anew with perjury convert from the history that it was made from"
            }
        }
    }

    /// Where the flaw is, in words. A Parquet file has rows of items, and no lines.
    fn place(&self, line: u64, column: u64) -> String {
        match (self, line) {
            (ReadErrorKind::Parquet(_), 0) => "the whole file".into(),
            (ReadErrorKind::Parquet(_), row) => format!("row {row}, item {column}"),
            _ => format!("line {line}, column {column}"),
        }
    }
}

/// A problem inside one line or document, before it is known which line of which file that is.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The byte at which it shows, counted from 0.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) kind: ReadErrorKind,
}

impl Fault {
    pub(crate) fn json(at: usize, message: impl Into<String>) -> Fault {
        Fault { at, kind: ReadErrorKind::Syntax { format: "JSON", message: message.into() } }
    }

    pub(crate) fn edn(at: usize, message: impl Into<String>) -> Fault {
        Fault { at, kind: ReadErrorKind::Syntax { format: "EDN", message: message.into() } }
    }

    pub(crate) fn field(at: usize, message: impl Into<String>) -> Fault {
        Fault { at, kind: ReadErrorKind::BadField(message.into()) }
    }

    /// The same fault, its message preceded by the part in which it is.
    pub(crate) fn within(mut self, part: &str) -> Fault {
        if let ReadErrorKind::Syntax { message, .. } | ReadErrorKind::BadField(message) =
            &mut self.kind
        {
            *message = format!("{part}: {message}");
        }
        self
    }

    /// The error for this fault in a line of a file. The column counts characters, as editors do.
    pub(crate) fn in_line(self, name: &str, line: u64, text: &[u8]) -> ReadError {
        let before = &text[..self.at.min(text.len())];
        let column = String::from_utf8_lossy(before).chars().count() as u64 + 1;
        ReadError { name: name.into(), line, column, kind: self.kind }
    }
}

/// The first characters of a text, for messages.
pub(crate) fn excerpt(text: &str) -> impl fmt::Display + '_ {
    struct Excerpt<'a>(&'a str);
    impl fmt::Display for Excerpt<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            const CHARS_MAX: usize = 60;
            match self.0.char_indices().nth(CHARS_MAX) {
                Some((end, _)) => write!(f, "{}…", &self.0[..end]),
                None => f.write_str(self.0),
            }
        }
    }
    Excerpt(text)
}
