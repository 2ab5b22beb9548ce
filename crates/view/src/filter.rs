//! Which operations a search wants.

use crate::operation::Op;
use crate::source::{Brief, Source};
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
///
/// # Errors
/// Whatever keeps the source from being read.
pub fn search<S: Source>(
    source: &S,
    filter: &Filter,
    from: usize,
    limit: usize,
) -> Result<Found, S::Error> {
    let touch = filter.touch();
    let mut touches = touch.as_ref().map(|t| source.seeker(t)).transpose()?;
    let error = filter.error.as_deref().map(str::to_ascii_lowercase);
    let mut found = Found { operations: Vec::new(), total: 0, before: 0, next: None };
    source.visit(filter.since, filter.until, &mut |brief| {
        let failed = || source.error_code(brief).unwrap_or_default().to_ascii_lowercase();
        let matches = filter.suits(brief)
            && filter.f.as_deref().is_none_or(|f| source.f_name(brief.f) == f)
            && error
                .as_deref()
                .is_none_or(|e| source.error_code(brief).is_some() && failed().contains(e));
        if !matches {
            return Ok(());
        }
        if let Some(touches) = &mut touches
            && !touches(brief)?
        {
            return Ok(());
        }
        found.add(brief.op, from, limit);
        Ok(())
    })?;
    Ok(found)
}

impl Found {
    fn add(&mut self, op: Op, from: usize, limit: usize) {
        self.total += 1;
        if op.first() < from {
            self.before += 1;
        } else if self.operations.len() < limit {
            self.operations.push(op);
        } else if self.next.is_none() {
            self.next = Some(op.first());
        }
    }
}

impl Filter {
    /// What can be said without the operation's records.
    fn suits(&self, op: &Brief) -> bool {
        let who = match self.who {
            Who::All => true,
            Who::Clients => op.is_client(),
            Who::One(one) => op.process == Some(one),
        };
        who && self.ended.is_none_or(|e| match e {
            Ended::Open => op.op.complete.is_none(),
            Ended::As(kind) => op.op.complete.is_some() && op.kind == kind,
        }) && self.since.is_none_or(|t| op.start.is_some_and(|s| s >= t))
            && self.until.is_none_or(|t| op.start.is_some_and(|s| s <= t))
    }

    /// What needs them; `None` when nothing does.
    fn touch(&self) -> Option<Touch> {
        if self.key.is_none() && self.offset.is_none() && self.value.is_none() {
            return None;
        }
        Some(Touch {
            keys: self.key.as_deref().map(looks),
            offset: self.offset,
            value: self.value.as_deref().and_then(|v| looks(v).into_iter().next()),
        })
    }
}

/// What one record or send of an operation must have, all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The looks of the key: several when an integer and a text look the same.
    pub(crate) keys: Option<Vec<Scalar>>,
    pub(crate) offset: Option<i64>,
    pub(crate) value: Option<Scalar>,
}

impl Touch {
    /// Whether row `row` of the history has it.
    pub fn is_in(&self, history: &History, row: usize) -> bool {
        let mops = history.mops(row).any(|mop| match mop {
            MopRef::Send { key, value, offset, .. } => {
                self.offset(offset) && self.key(history, key) && self.value(history, value)
            }
            MopRef::Poll(poll) => poll.is_some_and(|p| {
                p.groups().any(|g| {
                    let any = || g.iter().any(|(o, v)| self.offset(o) && self.value(history, v));
                    self.key(history, g.key) && any()
                })
            }),
        });
        let plain = self.offset.is_none() && self.value.is_none();
        let named = |k: &Scalar| self.keys.as_ref().is_some_and(|keys| keys.contains(k));
        mops || plain && history.keys_of(row).is_some_and(|keys| keys.iter().any(named))
    }

    fn key(&self, history: &History, key: KeyId) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(history.key(key)))
    }

    fn offset(&self, offset: Option<i64>) -> bool {
        self.offset.is_none_or(|wanted| offset == Some(wanted))
    }

    fn value(&self, history: &History, value: ValueId) -> bool {
        self.value.as_ref().is_none_or(|wanted| history.value(value) == *wanted)
    }
}

/// What a text from a search field may stand for: an integer first, if it is one.
pub fn looks(text: &str) -> Vec<Scalar> {
    let integer = text.parse::<i64>().ok().map(Scalar::Int);
    integer.into_iter().chain([Scalar::from(text)]).collect()
}
