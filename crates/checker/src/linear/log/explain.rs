//! What is wrong with a log, as data and as a sentence.

use crate::linear::op::OpRef;

/// What an operation said about the log's length at some moment of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Its own append took this offset, so the log was exactly that long before.
    Appended(u64),
    /// Nothing was at this offset.
    Empty(u64),
    /// The log had this length.
    End(u64),
}

impl Claim {
    /// The greatest length that the claim allows.
    pub fn length(self) -> u64 {
        match self {
            Claim::Appended(o) | Claim::Empty(o) | Claim::End(o) => o,
        }
    }
}

/// The broken rule with the numbers that show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRule {
    /// A value was read that nobody was asked to append.
    Phantom {
        /// Where it was read.
        offset: u64,
        /// The value's code.
        value: i64,
    },
    /// A value was read whose append failed.
    Aborted {
        /// Where it was read.
        offset: u64,
        /// The value's code.
        value: i64,
    },
    /// One offset held two values.
    TwoValues {
        /// The offset.
        offset: u64,
        /// The value seen last.
        value: i64,
        /// The value seen before.
        other: i64,
    },
    /// One value stood at two offsets.
    TwoOffsets {
        /// The value's code.
        value: i64,
        /// The offset seen last.
        offset: u64,
        /// The offset seen before.
        other: u64,
    },
    /// An operation that began after the log was known to be longer says that it was shorter.
    Stale {
        /// What it says.
        claim: Claim,
        /// The length that an earlier return had proven.
        shown: u64,
    },
    /// A length that falls inside a batch, which is appended as a whole.
    TornBatch {
        /// The length.
        end: u64,
        /// The batch's first offset.
        base: u64,
        /// How many records the batch has.
        len: u64,
    },
    /// Records that some append of unknown outcome must have made, but too few of them were invoked in time.
    Unfilled {
        /// The offset without an append.
        offset: u64,
        /// How many offsets up to this one have no known value.
        holes: u64,
    },
    /// An acknowledged append for which no offset is left within its interval.
    NoRoom,
    /// A record was read after it was known to be deleted.
    Deleted {
        /// The offset that was read.
        offset: u64,
        /// The length of the deleted part that an earlier return had proven.
        gone: u64,
    },
    /// The batch form found a contradiction that the streaming form could not name.
    Unexplained,
}

impl LogRule {
    /// The stable code of the rule.
    pub fn code(self) -> &'static str {
        match self {
            LogRule::Phantom { .. } => "phantom-value",
            LogRule::Aborted { .. } => "aborted-value",
            LogRule::TwoValues { .. } => "two-values-at-one-offset",
            LogRule::TwoOffsets { .. } => "one-value-at-two-offsets",
            LogRule::Stale { .. } => "stale",
            LogRule::TornBatch { .. } => "torn-batch",
            LogRule::Unfilled { .. } => "unexplained-record",
            LogRule::NoRoom => "lost-append",
            LogRule::Deleted { .. } => "deleted-record-read",
            LogRule::Unexplained => "contradiction",
        }
    }
}

/// A violation in a log, with the few operations that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFault {
    /// The broken rule.
    pub rule: LogRule,
    /// The operation whose return showed it.
    pub op: OpRef,
    /// The operations that it contradicts.
    pub others: Vec<OpRef>,
    /// The event at which it became inevitable.
    pub event: u64,
}

impl LogFault {
    pub(super) fn unexplained(event: u64) -> Self {
        let op = OpRef { invoke: event, ret: Some(event) };
        LogFault { rule: LogRule::Unexplained, op, others: Vec::new(), event }
    }

    /// The proof in a sentence. `name` shows a value's code.
    pub fn sentence(&self, name: &dyn Fn(i64) -> String) -> String {
        let op = self.op;
        match self.rule {
            LogRule::Phantom { offset, value } => match self.others.first() {
                Some(writer) => format!(
                    "{op} read value {} at offset {offset}, but its append was invoked only later, at event {}.",
                    name(value),
                    writer.invoke
                ),
                None => format!(
                    "{op} read value {} at offset {offset}, but nobody was ever asked to append it.",
                    name(value)
                ),
            },
            LogRule::Aborted { offset, value } => format!(
                "{op} read value {} at offset {offset}, but the append of it failed{}.",
                name(value),
                self.other(", see ")
            ),
            LogRule::TwoValues { offset, value, other } => format!(
                "{op} shows value {} at offset {offset}, where {} shows value {}.",
                name(value),
                self.other(""),
                name(other)
            ),
            LogRule::TwoOffsets { value, offset, other } => format!(
                "{op} shows value {} at offset {offset}, but it also stands at offset {other}{}.",
                name(value),
                self.other(", see ")
            ),
            LogRule::Stale { claim, shown } => self.stale(claim, shown),
            LogRule::TornBatch { end, base, len } => format!(
                "{op} saw the log end at {end}, inside the batch of {len} records at offset {base}, which was appended as a whole{}.",
                self.other(" by ")
            ),
            LogRule::Unfilled { offset, holes } => format!(
                "{op} shows that offset {offset} was filled, but of the {holes} offsets without a known value up to it one has no append that could have filled it in time."
            ),
            LogRule::NoRoom => format!(
                "{op} was acknowledged, but no offset is left at which its record could stand."
            ),
            LogRule::Deleted { offset, gone } => format!(
                "{op} read offset {offset} although{} had already found everything below {gone} deleted.",
                self.other(" ")
            ),
            LogRule::Unexplained => {
                format!("The answers up to {op} bound one offset in ways that exclude each other.")
            }
        }
    }

    fn stale(&self, claim: Claim, shown: u64) -> String {
        let op = self.op;
        let seen = shown.saturating_sub(1);
        let before = match self.others.first() {
            Some(o) => format!("{o} had returned at event {} having seen offset {seen}", o.shown()),
            None => format!("offset {seen} had been seen"),
        };
        let says = match claim {
            Claim::Appended(o) => format!("was given offset {o}"),
            Claim::Empty(o) => format!("found nothing at offset {o}"),
            Claim::End(e) => format!("found the log's end at {e}"),
        };
        format!("{before}; {op}, invoked later, at event {}, {says}.", op.invoke)
    }

    fn other(&self, prefix: &str) -> String {
        self.others.first().map(|o| format!("{prefix}{o}")).unwrap_or_default()
    }
}
