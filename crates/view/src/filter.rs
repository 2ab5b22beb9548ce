//! Which operations a search wants.

use crate::operation::{Op, rows};
use perjury_history::{History, KeyId, Kind, MopRef, Process, Scalar, ValueId};

/// Whose operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Who {
    /// Clients': what is analysed.
    #[default]
    Clients,
    /// Everybody's.
    All,
    /// This one's.
    One(Process),
}

/// How they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this completion.
    As(Kind),
    /// Not at all.
    Open,
}

/// A search; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Whose operations.
    pub who: Who,
    /// The function's name.
    pub f: Option<String>,
    /// How they ended.
    pub ended: Option<Ended>,
    /// A key that they touch.
    pub key: Option<String>,
    /// An offset that they touch.
    pub offset: Option<i64>,
    /// A value that they sent or polled.
    pub value: Option<String>,
    /// A part of the error's code.
    pub error: Option<String>,
    /// Begun not before, ns.
    pub since: Option<i64>,
    /// Begun not after, ns.
    pub until: Option<i64>,
}

/// One page of a search.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The operations of the page, by their invocations.
    pub operations: Vec<Op>,
    /// How many operations match in all.
    pub total: usize,
    /// How many of them stand before this page.
    pub before: usize,
    /// Where the next page begins.
    pub next: Option<usize>,
}

/// The first `limit` operations from index `from` that match, and how many match in all.
pub fn search(history: &History, filter: &Filter, from: usize, limit: usize) -> Found {
    let matcher = Matcher::new(history, filter);
    let mut found = Found { operations: Vec::new(), total: 0, before: 0, next: None };
    for (op, process) in rows(history) {
        if !matcher.matches(op, process) {
            continue;
        }
        found.total += 1;
        if op.first() < from {
            found.before += 1;
        } else if found.operations.len() < limit {
            found.operations.push(op);
        } else if found.next.is_none() {
            found.next = Some(op.first());
        }
    }
    found
}

struct Matcher<'a> {
    history: &'a History,
    filter: &'a Filter,
    /// The numbers of the wanted key; several when an integer and a text look the same.
    keys: Vec<KeyId>,
    /// Its looks, for payloads that are not micro-operations.
    scalars: Vec<Scalar>,
    value: Option<Scalar>,
}

impl<'a> Matcher<'a> {
    fn new(history: &'a History, filter: &'a Filter) -> Matcher<'a> {
        let scalars = filter.key.as_deref().map(looks).unwrap_or_default();
        let keys = scalars.iter().filter_map(|s| history.key_id(s)).collect();
        let value = filter.value.as_deref().and_then(|v| looks(v).into_iter().next());
        Matcher { history, filter, keys, scalars, value }
    }

    fn matches(&self, op: Op, process: Option<Process>) -> bool {
        let (h, filter) = (self.history, self.filter);
        let who = match filter.who {
            Who::All => true,
            Who::Clients => process.is_none_or(Process::is_client),
            Who::One(one) => process == Some(one),
        };
        let start = op.start(h);
        who && filter.f.as_deref().is_none_or(|f| h.f(op.first()).as_str() == f)
            && filter.ended.is_none_or(|e| match e {
                Ended::Open => op.complete.is_none(),
                Ended::As(kind) => op.complete.is_some_and(|c| h.kind(c) == kind),
            })
            && filter.since.is_none_or(|t| start.is_some_and(|s| s >= t))
            && filter.until.is_none_or(|t| start.is_some_and(|s| s <= t))
            && filter.error.as_deref().is_none_or(|e| self.errs(op, e))
            && (filter.key.is_none() && filter.offset.is_none() && self.value.is_none()
                || self.touches(op))
    }

    fn errs(&self, op: Op, wanted: &str) -> bool {
        let code = op.complete.and_then(|c| self.history.error(c)).map(|e| e.code.as_str());
        code.is_some_and(|c| c.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase()))
    }

    /// Whether one record or send of the operation has the wanted key, offset and value, all at once.
    fn touches(&self, op: Op) -> bool {
        let h = self.history;
        let mops = h.mops(op.row()).any(|mop| match mop {
            MopRef::Send { key, value, offset, .. } => {
                self.key(key) && self.offset(offset) && self.value(value)
            }
            MopRef::Poll(poll) => poll.is_some_and(|p| {
                p.groups().any(|g| {
                    let any = || g.iter().any(|(o, v)| self.offset(o) && self.value(v));
                    self.key(g.key) && any()
                })
            }),
        });
        let plain = self.filter.offset.is_none() && self.value.is_none();
        mops || plain
            && h.keys_of(op.row()).is_some_and(|k| k.iter().any(|k| self.scalars.contains(k)))
    }

    fn key(&self, key: KeyId) -> bool {
        self.filter.key.is_none() || self.keys.contains(&key)
    }

    fn offset(&self, offset: Option<i64>) -> bool {
        self.filter.offset.is_none_or(|wanted| offset == Some(wanted))
    }

    fn value(&self, value: ValueId) -> bool {
        self.value.as_ref().is_none_or(|wanted| self.history.value(value) == *wanted)
    }
}

/// What a text from a search field may stand for: an integer first, if it is one.
pub fn looks(text: &str) -> Vec<Scalar> {
    let integer = text.parse::<i64>().ok().map(Scalar::Int);
    integer.into_iter().chain([Scalar::from(text)]).collect()
}
