//! The ways in which a simulated cluster can break its word.

use serde::{Deserialize, Serialize};

/// A switchable defect. Its name in every interface is [`Defect::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// An acknowledged record is gone; its offset stays empty.
    LoseAcked,
    /// Several acknowledged records at the end of a log are gone at once, as after a failover.
    LoseAckedTail,
    /// An acknowledged record is gone and the next one takes its offset.
    ReuseOffset,
    /// A record that was read is cut off the log and the next one takes its offset.
    TruncateLog,
    /// A retry appends the record again right behind itself.
    DuplicateOnRetry,
    /// A retry appends the record again much later.
    DuplicateLate,
    /// The acknowledgement names the wrong offset.
    WrongAckOffset,
    /// A poll returns two neighbours in the wrong order.
    ReorderOnRead,
    /// A poll leaves out a record between two others.
    SkipInPoll,
    /// A consumer passes over a record between two polls.
    SkipBetweenPolls,
    /// A poll returns a record twice in a row.
    ReReadInPoll,
    /// A consumer gets its last record again with the next poll.
    ReReadBetweenPolls,
    /// A consumer does not go back after a failed operation.
    NoRewind,
    /// A client's second write lands before its first.
    NonmonotonicSend,
    /// A write that began after another had been acknowledged lands before it.
    RealtimeInversion,
    /// Two writes of one operation land in the wrong order.
    IntNonmonotonicSend,
    /// The record of a failed operation is served.
    AbortedRead,
    /// An operation reads its own write.
    PrecommittedRead,
    /// One write of an acknowledged operation survives, the other is lost.
    TornTransaction,
    /// One write of an operation of unknown outcome survives, the other is lost although it got an offset.
    TornInfo,
    /// A record is read before its write was invoked.
    FutureRead,
    /// Two operations read each other's writes.
    CircularRead,
    /// Two operations write to two logs in opposite orders.
    CircularWrite,
    /// A record of unknown outcome is absent when a consumer passes its place and appears there later.
    ResurrectedWrite,
    /// A poll passes over a record that others have read before.
    StaleRead,
    /// A record that was read is gone from the middle of a log.
    ForgetRead,
    /// A record comes back with a wrong checksum.
    CorruptRecord,
    /// Acknowledged records at the end of a log are never served.
    UnseenTail,
    /// A record that nobody sent is served.
    PhantomRead,
}

/// Skips and repetitions as seen by one consumer, inside an operation or between two.
const POLL_ORDER: &[&str] =
    &["int-poll-skip", "poll-skip", "int-nonmonotonic-poll", "nonmonotonic-poll"];
const SKIPS: &[&str] = &["int-poll-skip", "poll-skip"];
/// What follows when acknowledged records are missing, beside the loss itself.
const LOSS: &[&str] = &["int-poll-skip", "poll-skip", "torn-transaction", "truncated-log"];
/// What follows when one offset has two values.
const REUSE: &[&str] = &[
    "nonmonotonic-send",
    "realtime-order",
    "truncated-log",
    "offset-regression",
    "resurrected-write",
    "torn-transaction",
    "int-poll-skip",
    "poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-poll",
    "G0-realtime",
    "strong-PL-1-cycle-exists",
    "G1c-realtime",
    "strong-PL-2-cycle-exists",
];
/// What follows when a write lands before one that completed earlier.
const INVERSION: &[&str] = &[
    "nonmonotonic-send",
    "stale-read",
    "G0-realtime",
    "G0-process",
    "strong-PL-1-cycle-exists",
    "strong-session-PL-1-cycle-exists",
    "G1c-realtime",
    "G1c-process",
    "strong-PL-2-cycle-exists",
    "strong-session-PL-2-cycle-exists",
];
const DUPLICATES: &[&str] = &[
    "int-poll-skip",
    "poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-poll",
    "int-send-skip",
    "nonmonotonic-send",
    "inconsistent-offsets",
    "realtime-order",
    "resurrected-write",
    "G0",
    "G0-realtime",
    "PL-1-cycle-exists",
    "strong-PL-1-cycle-exists",
    "G1c",
    "G1c-realtime",
    "PL-2-cycle-exists",
    "strong-PL-2-cycle-exists",
];

impl Defect {
    /// All defects.
    pub const ALL: [Defect; 29] = [
        Defect::LoseAcked,
        Defect::LoseAckedTail,
        Defect::ReuseOffset,
        Defect::TruncateLog,
        Defect::DuplicateOnRetry,
        Defect::DuplicateLate,
        Defect::WrongAckOffset,
        Defect::ReorderOnRead,
        Defect::SkipInPoll,
        Defect::SkipBetweenPolls,
        Defect::ReReadInPoll,
        Defect::ReReadBetweenPolls,
        Defect::NoRewind,
        Defect::NonmonotonicSend,
        Defect::RealtimeInversion,
        Defect::IntNonmonotonicSend,
        Defect::AbortedRead,
        Defect::PrecommittedRead,
        Defect::TornTransaction,
        Defect::TornInfo,
        Defect::FutureRead,
        Defect::CircularRead,
        Defect::CircularWrite,
        Defect::ResurrectedWrite,
        Defect::StaleRead,
        Defect::ForgetRead,
        Defect::CorruptRecord,
        Defect::UnseenTail,
        Defect::PhantomRead,
    ];

    /// Its name: the variant in kebab case.
    pub fn as_str(self) -> &'static str {
        match self {
            Defect::LoseAcked => "lose-acked",
            Defect::LoseAckedTail => "lose-acked-tail",
            Defect::ReuseOffset => "reuse-offset",
            Defect::TruncateLog => "truncate-log",
            Defect::DuplicateOnRetry => "duplicate-on-retry",
            Defect::DuplicateLate => "duplicate-late",
            Defect::WrongAckOffset => "wrong-ack-offset",
            Defect::ReorderOnRead => "reorder-on-read",
            Defect::SkipInPoll => "skip-in-poll",
            Defect::SkipBetweenPolls => "skip-between-polls",
            Defect::ReReadInPoll => "re-read-in-poll",
            Defect::ReReadBetweenPolls => "re-read-between-polls",
            Defect::NoRewind => "no-rewind",
            Defect::NonmonotonicSend => "nonmonotonic-send",
            Defect::RealtimeInversion => "realtime-inversion",
            Defect::IntNonmonotonicSend => "int-nonmonotonic-send",
            Defect::AbortedRead => "aborted-read",
            Defect::PrecommittedRead => "precommitted-read",
            Defect::TornTransaction => "torn-transaction",
            Defect::TornInfo => "torn-info",
            Defect::FutureRead => "future-read",
            Defect::CircularRead => "circular-read",
            Defect::CircularWrite => "circular-write",
            Defect::ResurrectedWrite => "resurrected-write",
            Defect::StaleRead => "stale-read",
            Defect::ForgetRead => "forget-read",
            Defect::CorruptRecord => "corrupt-record",
            Defect::UnseenTail => "unseen-tail",
            Defect::PhantomRead => "phantom-read",
        }
    }

    /// The anomalies of which each injection causes at least one case, under the names of the established checker.
    /// Final reads are presumed.
    pub fn must(self) -> &'static [&'static str] {
        match self {
            Defect::LoseAcked | Defect::LoseAckedTail | Defect::TornTransaction => {
                &["lost-write", "unseen"]
            }
            Defect::TornInfo => &["lost-write"],
            Defect::ReuseOffset => &["inconsistent-offsets", "lost-write", "unseen"],
            Defect::TruncateLog => &["inconsistent-offsets"],
            Defect::DuplicateOnRetry | Defect::DuplicateLate | Defect::WrongAckOffset => {
                &["duplicate"]
            }
            Defect::ReorderOnRead | Defect::ReReadInPoll => &["int-nonmonotonic-poll"],
            Defect::SkipInPoll | Defect::StaleRead => &["int-poll-skip"],
            Defect::SkipBetweenPolls | Defect::NoRewind => &["poll-skip"],
            Defect::ReReadBetweenPolls => &["nonmonotonic-poll"],
            Defect::NonmonotonicSend => &["nonmonotonic-send"],
            Defect::IntNonmonotonicSend => &["int-nonmonotonic-send"],
            Defect::AbortedRead => &["G1a"],
            Defect::PrecommittedRead => &["precommitted-read"],
            Defect::FutureRead => &["G1c-realtime"],
            Defect::CircularRead => &["G1c"],
            Defect::UnseenTail => &["unseen"],
            Defect::RealtimeInversion
            | Defect::CircularWrite
            | Defect::ResurrectedWrite
            | Defect::ForgetRead
            | Defect::CorruptRecord
            | Defect::PhantomRead => &[],
        }
    }

    /// As [`must`](Self::must), under names of our own that the established checker does not know. Of those that
    /// depend on more than one observation the definition decides whether a case is found, so a checker that reports
    /// none is not wrong for that alone.
    pub fn ours(self) -> &'static [&'static str] {
        match self {
            Defect::NonmonotonicSend | Defect::RealtimeInversion => &["realtime-order"],
            Defect::TornTransaction | Defect::TornInfo => &["torn-transaction"],
            Defect::FutureRead => &["early-read"],
            Defect::ResurrectedWrite => &["resurrected-write"],
            Defect::StaleRead => &["stale-read"],
            Defect::CorruptRecord => &["corrupt-record"],
            Defect::ForgetRead => &["truncated-log"],
            Defect::PhantomRead => &["phantom-read"],
            _ => &[],
        }
    }

    /// Whether it takes place in an ordinary ok poll that happens to fit.
    pub(super) fn is_read(self) -> bool {
        matches!(
            self,
            Defect::ReorderOnRead
                | Defect::SkipInPoll
                | Defect::StaleRead
                | Defect::SkipBetweenPolls
                | Defect::ReReadInPoll
                | Defect::ReReadBetweenPolls
                | Defect::CorruptRecord
                | Defect::FutureRead
        )
    }

    /// Whether acknowledged records are gone by it.
    pub(super) fn loses(self) -> bool {
        matches!(
            self,
            Defect::LoseAcked
                | Defect::LoseAckedTail
                | Defect::ReuseOffset
                | Defect::TornTransaction
                | Defect::TornInfo
        )
    }

    /// The anomalies that only checkers find which draw edges between writes that follow each other.
    pub fn must_with_ww(self) -> &'static [&'static str] {
        match self {
            Defect::CircularWrite => &["G0"],
            _ => &[],
        }
    }

    /// The anomalies that an injection can cause beside those that it must.
    pub fn may(self) -> impl Iterator<Item = &'static str> {
        let more: &[&[&str]] = match self {
            Defect::LoseAcked
            | Defect::LoseAckedTail
            | Defect::TornTransaction
            | Defect::TornInfo => &[LOSS],
            Defect::ReuseOffset | Defect::TruncateLog => &[REUSE, &["lost-write", "unseen"]],
            Defect::DuplicateOnRetry | Defect::DuplicateLate => &[DUPLICATES],
            Defect::WrongAckOffset => &[DUPLICATES, REUSE],
            Defect::ReorderOnRead => &[POLL_ORDER],
            Defect::SkipInPoll
            | Defect::StaleRead
            | Defect::SkipBetweenPolls
            | Defect::NoRewind => &[
                SKIPS,
                &["resurrected-write", "stale-read", "truncated-log", "unseen", "lost-write"],
            ],
            Defect::ReReadInPoll | Defect::ReReadBetweenPolls => &[POLL_ORDER],
            Defect::NonmonotonicSend | Defect::RealtimeInversion => &[INVERSION],
            Defect::IntNonmonotonicSend => &[&["int-send-skip"]],
            // A value that was never acknowledged counts as unseen when the very last ok operation polls it first.
            Defect::AbortedRead => &[&["unseen", "zombie-write", "phantom-read"]],
            Defect::PrecommittedRead => &[&["early-read"]],
            Defect::FutureRead => &[
                INVERSION,
                &[
                    "G1c",
                    "G1c-realtime",
                    "G1c-process",
                    "strong-PL-2-cycle-exists",
                    "realtime-order",
                ],
            ],
            Defect::CircularRead => &[&["PL-2-cycle-exists", "early-read"]],
            Defect::CircularWrite => &[&["PL-1-cycle-exists", "G1c", "PL-2-cycle-exists"]],
            Defect::ResurrectedWrite => &[SKIPS, &["stale-read", "torn-transaction"]],
            Defect::ForgetRead => &[SKIPS, &["stale-read", "torn-transaction", "unseen"]],
            Defect::UnseenTail => &[&["stale-read", "truncated-log"]],
            Defect::PhantomRead => &[&["unseen", "lost-write"]],
            Defect::CorruptRecord => &[],
        };
        self.ours().iter().chain(more.iter().flat_map(|names| names.iter())).copied()
    }
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Defect {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Defect::ALL.into_iter().find(|d| d.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = Defect::ALL.iter().map(|d| d.as_str()).collect();
            format!("{name:?} is not a defect; there are {}", names.join(", "))
        })
    }
}
