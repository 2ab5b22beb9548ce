//! The streaming form: constant work an event, a violation as soon as a return makes it inevitable.
//!
//! *proven* is the greatest length that any returned operation has shown. An operation remembers it when it is invoked;
//! when it returns, it must not claim that the log was shorter.

use super::explain::{Claim, LogFault, LogRule};
use super::fill::{Fill, Job, Slot, Tail, fill};
use super::{Cell, Holes, Log, LogCall};
use crate::linear::op::{NEVER, OpRef};
use rustc_hash::FxHashMap;

/// An append that a [`LogStream`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer(u32);

/// A read under way: what was known when it was invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    invoke: u64,
    low: u64,
    gone: u64,
}

#[derive(Debug, Clone)]
struct Append {
    id: OpRef,
    low: u64,
    first: u32,
    len: u32,
    base: Option<u64>,
    /// It was acknowledged without an offset before a read showed where it stands.
    late: bool,
    failed: bool,
    seen_by: Option<OpRef>,
}

/// Lengths that grow, each with the operation whose return showed it first.
#[derive(Debug, Clone, Default)]
struct Frontier {
    length: u64,
    steps: Vec<(u64, OpRef)>,
}

impl Frontier {
    fn raise(&mut self, length: u64, by: OpRef) {
        if length > self.length {
            self.length = length;
            self.steps.push((length, by));
        }
    }

    /// The first operation to show more than `length`.
    fn beyond(&self, length: u64) -> Option<OpRef> {
        let at = self.steps.partition_point(|(l, _)| *l <= length);
        self.steps.get(at).map(|(_, by)| *by)
    }
}

/// A log judged while it grows. Events must come in their order.
#[derive(Debug, Clone, Default)]
pub struct LogStream {
    holes: Holes,
    values: Vec<i64>,
    appends: Vec<Append>,
    writers: FxHashMap<i64, u32>,
    places: FxHashMap<u64, u32>,
    shown: Frontier,
    gone: Frontier,
    claims: Vec<(Claim, OpRef)>,
    has_batches: bool,
    ends: FxHashMap<u64, OpRef>,
    /// Reads that returned after their first offset was found gone: first and last offset.
    around: Vec<(u64, u64, OpRef)>,
}

type Step = Result<(), Box<LogFault>>;

impl LogStream {
    /// An empty log.
    pub fn new(holes: Holes) -> Self {
        LogStream { holes, ..LogStream::default() }
    }

    /// An append of `values` is invoked. The values must not have been appended before.
    pub fn append(&mut self, invoke: u64, values: impl IntoIterator<Item = i64>) -> Writer {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a history has fewer than 2^32 records"
        )]
        let (at, first) = (self.appends.len() as u32, self.values.len() as u32);
        for value in values {
            self.values.push(value);
            self.writers.insert(value, at);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a history has fewer than 2^32 records"
        )]
        let len = self.values.len() as u32 - first;
        self.has_batches |= len > 1;
        let id = OpRef { invoke, ret: None };
        let low = self.shown.length;
        self.appends.push(Append {
            id,
            low,
            first,
            len,
            base: None,
            late: false,
            failed: false,
            seen_by: None,
        });
        Writer(at)
    }

    /// A read is invoked.
    pub fn read(&self, invoke: u64) -> Reader {
        Reader { invoke, low: self.shown.length, gone: self.gone.length }
    }

    /// An append is acknowledged, with its offset if the answer carried one.
    ///
    /// # Errors
    /// The violation that became inevitable.
    pub fn appended(&mut self, writer: Writer, ret: u64, offset: Option<u64>) -> Step {
        let append = &mut self.appends[writer.0 as usize];
        append.id.ret = Some(ret);
        let (id, value) = (append.id, self.values.get(append.first as usize).copied());
        let Some((offset, value)) = offset.zip(value) else { return Ok(()) };
        self.bind(writer.0, offset, value, 0, id)
    }

    /// An append failed: its values must never be read.
    ///
    /// # Errors
    /// One of them was already read.
    pub fn failed(&mut self, writer: Writer, event: u64) -> Step {
        let append = &mut self.appends[writer.0 as usize];
        append.failed = true;
        append.id.ret = Some(event);
        let (Some(op), Some(offset)) = (append.seen_by, append.base) else { return Ok(()) };
        let value = self.values[append.first as usize];
        let rule = LogRule::Aborted { offset, value };
        Err(Box::new(LogFault { rule, op, others: vec![append.id], event }))
    }

    /// A fetch returns records.
    ///
    /// # Errors
    /// The violation that became inevitable.
    pub fn fetched(&mut self, reader: Reader, ret: u64, cells: &[Cell]) -> Step {
        let op = OpRef { invoke: reader.invoke, ret: Some(ret) };
        for cell in cells {
            let (offset, value) = (cell.offset, cell.value);
            let Some(&at) = self.writers.get(&value) else {
                return fault(LogRule::Phantom { offset, value }, op, Vec::new());
            };
            let append = &mut self.appends[at as usize];
            if append.failed {
                return fault(LogRule::Aborted { offset, value }, op, vec![append.id]);
            }
            append.seen_by.get_or_insert(op);
            let values = &self.values[append.first as usize..(append.first + append.len) as usize];
            let back = values.iter().position(|v| *v == value).unwrap_or(0) as u64;
            self.bind(at, offset, value, back, op)?;
            if offset < reader.gone {
                let rule = LogRule::Deleted { offset, gone: reader.gone };
                let others = self.gone.beyond(offset).into_iter().collect();
                return fault(rule, op, others);
            }
        }
        let offsets = || cells.iter().map(|c| c.offset);
        if let (Some(first), Some(last)) = (offsets().min(), offsets().max())
            && first < self.gone.length
        {
            self.around.push((first, last, op));
        }
        Ok(())
    }

    /// A strict fetch returns nothing. (A weak one says nothing and need not be told.)
    ///
    /// # Errors
    /// The violation that became inevitable.
    pub fn empty(&mut self, reader: Reader, ret: u64, offset: u64) -> Step {
        let op = OpRef { invoke: reader.invoke, ret: Some(ret) };
        self.claims.push((Claim::Empty(offset), op));
        self.claim(Claim::Empty(offset), reader.low, op, op)
    }

    /// The log's length is answered.
    ///
    /// # Errors
    /// The violation that became inevitable.
    pub fn end(&mut self, reader: Reader, ret: u64, end: u64, strict: bool) -> Step {
        let op = OpRef { invoke: reader.invoke, ret: Some(ret) };
        if strict {
            self.claims.push((Claim::End(end), op));
            self.claim(Claim::End(end), reader.low, op, op)?;
        }
        if self.has_batches && strict && end > 0 {
            let inside = self.places.get(&(end - 1)).filter(|w| self.places.get(&end) == Some(w));
            if let Some(at) = inside {
                return self.torn(end, *at, op);
            }
            self.ends.entry(end).or_insert(op);
        }
        self.shown.raise(end, op);
        Ok(())
    }

    /// A fetch finds that `offset` was deleted.
    ///
    /// # Errors
    /// None at present: a deletion contradicts only reads that are invoked later.
    pub fn gone(&mut self, reader: Reader, ret: u64, offset: u64) -> Step {
        let op = OpRef { invoke: reader.invoke, ret: Some(ret) };
        self.shown.raise(offset + 1, op);
        self.gone.raise(offset + 1, op);
        Ok(())
    }

    /// Settles what only the end of a history shows: offsets that no known append filled, and acknowledged appends
    /// without a place.
    ///
    /// # Errors
    /// The violation, with the event at which it shows.
    pub fn finish(&self) -> Step {
        let lowers = self.lowers()?;
        let tail = Tail { start: self.shown.length, lowers };
        let jobs: Vec<Job> = (0u32..)
            .zip(&self.appends)
            .filter(|(_, a)| a.base.is_none() && !a.failed && a.len == 1)
            .map(|(op, a)| Job { ret: a.id.ret.unwrap_or(NEVER), invoke: a.id.invoke, op })
            .collect();
        if self.appends.iter().any(|a| a.base.is_none() && !a.failed && a.len > 1) {
            return Ok(());
        }
        let slots = self.slots(&tail, &self.uppers(), jobs.len() as u64);
        match fill(&slots, &tail, jobs, self.holes) {
            Fill::Assigned(_) => Ok(()),
            Fill::Unfilled { offset, holes } => {
                let op = self.shown.beyond(offset).unwrap_or(OpRef { invoke: 0, ret: None });
                fault(LogRule::Unfilled { offset, holes }, op, Vec::new())
            }
            Fill::NoRoom(at) => fault(LogRule::NoRoom, self.appends[at as usize].id, Vec::new()),
        }
    }

    /// Lower bounds by offset, each at least as late as the one before. Appends that were acknowledged without an offset
    /// and seen only later are held against them here.
    fn lowers(&self) -> Result<Vec<(u64, u64)>, Box<LogFault>> {
        let placed = self.appends.iter().filter(|a| !a.failed);
        let placed = placed.filter_map(|a| Some((Claim::Appended(a.base?), a.id)));
        let mut claims: Vec<(Claim, OpRef)> = self.claims.iter().copied().chain(placed).collect();
        claims.sort_unstable_by_key(|(claim, op)| (claim.length(), op.invoke));
        let mut lowers: Vec<(u64, u64)> = Vec::with_capacity(claims.len());
        let mut latest: Vec<usize> = Vec::with_capacity(claims.len());
        for (i, (claim, op)) in claims.iter().enumerate() {
            let before = latest.last().copied().filter(|b| claims[*b].1.invoke > op.invoke);
            latest.push(before.unwrap_or(i));
            lowers.push((claim.length(), claims[latest[i]].1.invoke + 1));
        }
        for append in self.appends.iter().filter(|a| a.late) {
            let (Some(base), Some(ret)) = (append.base, append.id.ret) else { continue };
            let at = lowers.partition_point(|(o, _)| *o <= base);
            let Some(&(claim, op)) = at.checked_sub(1).map(|i| &claims[latest[i]]) else {
                continue;
            };
            if op.invoke > ret {
                let rule = LogRule::Stale { claim, shown: base + u64::from(append.len) };
                let event = append.seen_by.map_or(op.shown(), |r| r.shown().max(op.shown()));
                return Err(Box::new(LogFault { rule, op, others: vec![append.id], event }));
            }
        }
        for (first, last, op) in &self.around {
            let at = lowers.partition_point(|(o, _)| *o <= *last);
            let Some(&(_, later)) = at.checked_sub(1).map(|i| &claims[latest[i]]) else { continue };
            let Some(gone) = self.gone.beyond(*first).filter(|g| g.shown() < later.invoke) else {
                continue;
            };
            let rule = LogRule::Deleted { offset: *first, gone: first + 1 };
            let others = vec![gone, later];
            return Err(Box::new(LogFault { rule, op: *op, others, event: op.shown() }));
        }
        Ok(lowers)
    }

    /// Lengths that grow, each with the first event by which it was reached, late acknowledgements included.
    fn uppers(&self) -> Vec<(u64, u64)> {
        let shown = self.shown.steps.iter().map(|(length, by)| (by.shown(), *length));
        let late = self.appends.iter().filter(|a| a.late && !a.failed);
        let late = late.filter_map(|a| Some((a.id.ret?, a.base? + u64::from(a.len))));
        let mut events: Vec<(u64, u64)> = shown.chain(late).collect();
        events.sort_unstable();
        let mut uppers: Vec<(u64, u64)> = Vec::with_capacity(events.len());
        for (event, length) in events {
            if uppers.last().is_none_or(|(l, _)| *l < length) {
                uppers.push((length, event));
            }
        }
        uppers
    }

    /// The runs of offsets without a value below the proven length. No run need be longer than one more than there are
    /// appends to fill it.
    fn slots(&self, tail: &Tail, uppers: &[(u64, u64)], jobs: u64) -> Vec<Slot> {
        let mut marks: Vec<u64> = self.places.keys().flat_map(|p| [*p, *p + 1]).collect();
        marks.extend(tail.lowers.iter().map(|(o, _)| *o));
        marks.extend(uppers.iter().map(|(l, _)| *l));
        marks.push(0);
        marks.retain(|m| *m <= self.shown.length);
        marks.sort_unstable();
        marks.dedup();
        let runs = marks.windows(2).filter(|w| !self.places.contains_key(&w[0]));
        let slots = runs.map(|w| Slot {
            offset: w[0],
            count: (w[1] - w[0]).min(jobs + 1),
            lower: tail.lower(w[0]),
            upper: uppers.get(uppers.partition_point(|(l, _)| *l <= w[0])).map_or(NEVER, |u| u.1),
        });
        slots.collect()
    }

    fn claim(&self, claim: Claim, low: u64, subject: OpRef, by: OpRef) -> Step {
        let low = self.whole(low);
        if claim.length() >= low {
            return Ok(());
        }
        let rule = LogRule::Stale { claim, shown: low };
        let others: Vec<OpRef> = self.shown.beyond(claim.length()).into_iter().collect();
        let event = by.shown();
        Err(Box::new(LogFault { rule, op: subject, others, event }))
    }

    /// A length that falls inside a batch shows all of the batch.
    fn whole(&self, length: u64) -> u64 {
        if !self.has_batches || length == 0 {
            return length;
        }
        match (self.places.get(&(length - 1)), self.places.get(&length)) {
            (Some(a), Some(b)) if a == b => {
                let append = &self.appends[*a as usize];
                append.base.map_or(length, |base| base + u64::from(append.len))
            }
            _ => length,
        }
    }

    /// A batch becomes known of which a part had been shown before: earlier claims must not fall behind all of it.
    fn claims_within(&self, base: u64, len: u64, by: OpRef) -> Step {
        let Some(part) = self.shown.beyond(base) else { return Ok(()) };
        for (claim, op) in &self.claims {
            let inside = claim.length() > base && claim.length() < base + len;
            if inside && op.invoke > part.shown() {
                let rule = LogRule::Stale { claim: *claim, shown: base + len };
                let event = by.shown();
                return Err(Box::new(LogFault { rule, op: *op, others: vec![part], event }));
            }
        }
        Ok(())
    }

    /// Learns that `value` of an append, `back` records after its first, stands at `offset`.
    fn bind(&mut self, at: u32, offset: u64, value: i64, back: u64, by: OpRef) -> Step {
        let append = &self.appends[at as usize];
        let (id, low, first, len) = (append.id, append.low, append.first as usize, append.len);
        if let Some(base) = append.base {
            let other = base + back;
            if other != offset {
                return fault(LogRule::TwoOffsets { value, offset, other }, by, vec![id]);
            }
            self.shown.raise(base + u64::from(len), by);
            return Ok(());
        }
        let Some(base) = offset.checked_sub(back) else {
            return fault(
                LogRule::TornBatch { end: 0, base: 0, len: u64::from(len) },
                by,
                vec![id],
            );
        };
        for (i, place) in (base..).take(len as usize).enumerate() {
            if let Some(&other) = self.places.get(&place) {
                let rule = LogRule::TwoValues {
                    offset: place,
                    value: self.values[first + i],
                    other: self.value_at(other, place),
                };
                return fault(rule, by, vec![self.shower(other)]);
            }
            self.places.insert(place, at);
        }
        let append = &mut self.appends[at as usize];
        append.base = Some(base);
        append.late = append.id.ret.is_some() && append.id != by;
        self.claim(Claim::Appended(base), low, id, by)?;
        if len > 1 {
            let inside =
                (base + 1..base + u64::from(len)).find_map(|e| Some((e, *self.ends.get(&e)?)));
            if let Some((end, op)) = inside {
                let rule = LogRule::TornBatch { end, base, len: u64::from(len) };
                return Err(Box::new(LogFault { rule, op, others: vec![id], event: by.shown() }));
            }
        }
        if len > 1 {
            self.claims_within(base, u64::from(len), by)?;
        }
        self.shown.raise(base + u64::from(len), by);
        Ok(())
    }

    fn value_at(&self, at: u32, place: u64) -> i64 {
        let append = &self.appends[at as usize];
        let back = append.base.map_or(0, |b| place.saturating_sub(b));
        let first = append.first as usize;
        usize::try_from(back).map_or(0, |b| self.values.get(first + b).copied().unwrap_or_default())
    }

    /// The operation that showed where an append stands.
    fn shower(&self, at: u32) -> OpRef {
        let append = &self.appends[at as usize];
        append.seen_by.unwrap_or(append.id)
    }

    fn torn(&self, end: u64, at: u32, op: OpRef) -> Step {
        let append = &self.appends[at as usize];
        let rule = LogRule::TornBatch {
            end,
            base: append.base.unwrap_or(end),
            len: u64::from(append.len),
        };
        fault(rule, op, vec![append.id])
    }
}

fn fault(rule: LogRule, op: OpRef, others: Vec<OpRef>) -> Step {
    Err(Box::new(LogFault { rule, op, others, event: op.shown() }))
}

enum Token {
    None,
    Writer(Writer),
    Reader(Reader),
}

/// Feeds a whole log through the stream and gives the first violation.
pub(super) fn first_fault(log: &Log) -> Option<LogFault> {
    let mut events: Vec<(u64, u32, bool)> = Vec::with_capacity(2 * log.ops.len());
    for (i, op) in (0u32..).zip(&log.ops) {
        events.push((op.invoke, i, false));
        events.extend(op.ret.map(|r| (r, i, true)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a history has fewer than 2^32 operations")]
    let ops = log.ops.len() as u32;
    for (i, a) in (ops..).zip(&log.aborted) {
        events.push((a.invoke, i, false));
        events.push((a.fail, i, true));
    }
    events.sort_unstable();
    let mut tokens: Vec<Token> =
        std::iter::repeat_with(|| Token::None).take(log.ops.len() + log.aborted.len()).collect();
    let mut stream = LogStream::new(log.holes);
    for (event, i, is_return) in events {
        let at = i as usize;
        let step = if is_return {
            returned(&mut stream, log, at, event, &tokens[at])
        } else {
            tokens[at] = invoked(&mut stream, log, at, event);
            Ok(())
        };
        if let Err(fault) = step {
            return Some(named(log, *fault));
        }
    }
    stream.finish().err().map(|fault| named(log, *fault))
}

fn invoked(stream: &mut LogStream, log: &Log, at: usize, event: u64) -> Token {
    match log.ops.get(at).map(|o| &o.call) {
        Some(call @ LogCall::Append { .. }) => {
            Token::Writer(stream.append(event, log.cells_of(call).iter().map(|c| c.value)))
        }
        Some(_) => Token::Reader(stream.read(event)),
        None => {
            let value = log.aborted[at - log.ops.len()].value;
            // A value that was appended again by an append that did not fail belongs to that one.
            if stream.writers.contains_key(&value) {
                return Token::None;
            }
            Token::Writer(stream.append(event, [value]))
        }
    }
}

fn returned(stream: &mut LogStream, log: &Log, at: usize, event: u64, token: &Token) -> Step {
    let Some(op) = log.ops.get(at) else {
        return match token {
            Token::Writer(w) => stream.failed(*w, event),
            _ => Ok(()),
        };
    };
    match (op.call, token) {
        (LogCall::Append { offset, .. }, Token::Writer(w)) => stream.appended(*w, event, offset),
        (LogCall::Fetch { .. }, Token::Reader(r)) => {
            stream.fetched(*r, event, log.cells_of(&op.call))
        }
        (LogCall::Empty { offset, strict: true }, Token::Reader(r)) => {
            stream.empty(*r, event, offset)
        }
        (LogCall::End { end, strict }, Token::Reader(r)) => stream.end(*r, event, end, strict),
        (LogCall::Gone { offset }, Token::Reader(r)) => stream.gone(*r, event, offset),
        _ => Ok(()),
    }
}

/// Adds the writer of a value that was read before it was appended.
fn named(log: &Log, mut fault: LogFault) -> LogFault {
    if let (LogRule::Phantom { value, .. }, true) = (fault.rule, fault.others.is_empty()) {
        let writer = log.ops.iter().find(|o| {
            matches!(o.call, LogCall::Append { .. })
                && log.cells_of(&o.call).iter().any(|c| c.value == value)
        });
        fault.others.extend(writer.map(super::Op::id));
    }
    fault
}
