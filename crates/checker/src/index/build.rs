//! Builds the index in one walk over the rows.

use super::key::KeyIndex;
use super::tables::Span;
use super::{Index, is_data, reads_count, writes_count};
use crate::par;
use perjury_history::{History, Kind, MopRef};
use std::ops::Range;

#[derive(Debug, Clone, Copy, Default)]
struct Spans {
    offsets: Span,
    values: Span,
}

pub(super) fn index(history: &History, threads: usize) -> Index<'_> {
    complete(history, tables(history, 0..history.len(), threads), threads)
}

/// The tables of these rows alone, by key; [`KeyIndex::absorb`] puts those of neighbouring rows together.
pub(super) fn tables(history: &History, rows: Range<usize>, threads: usize) -> Vec<KeyIndex> {
    let spans = measure(history, rows.clone());
    par::shards(spans.len(), threads, |shard, shards| {
        fill(history, rows.clone(), &spans, shard, shards)
    })
}

/// The index from the tables of all rows.
pub(super) fn complete(history: &History, mut keys: Vec<KeyIndex>, threads: usize) -> Index<'_> {
    keys.resize_with(history.keys_len(), KeyIndex::default);
    let proved = prove(history, &keys);
    par::for_each_mut(&mut keys, threads, |key| {
        key.finish(|row| proved[row as usize / 64] >> (row % 64) & 1 == 1);
    });
    Index { history, keys, proved }
}

/// Finds the spans of offsets and sent values of each key, so that arrays can be sized. Polled offsets are taken from
/// both ends of what a poll returned; whatever lies outside goes to the hash maps.
fn measure(history: &History, rows: Range<usize>) -> Vec<Spans> {
    let mut spans = vec![Spans::default(); history.keys_len()];
    for i in rows {
        if !is_data(history, i) {
            continue;
        }
        for mop in history.mops(i) {
            match mop {
                MopRef::Send { key, value, offset, .. } => {
                    let span = &mut spans[key.index()];
                    span.values.show(value.0);
                    if let Some(offset) = offset {
                        span.offsets.show(offset);
                    }
                }
                MopRef::Poll(None) => {}
                MopRef::Poll(Some(poll)) => {
                    for group in poll.groups() {
                        let len = group.len();
                        let ends = [0, len.saturating_sub(1)];
                        let ends = ends.into_iter().filter(|i| *i < len);
                        let span = &mut spans[group.key.index()].offsets;
                        ends.filter_map(|i| group.offset(i)).for_each(|o| span.show(o));
                        span.count(len as u64);
                    }
                }
            }
        }
    }
    spans
}

/// Fills the tables of the keys of one shard (those whose id is `shard` modulo `shards`).
fn fill(
    history: &History,
    rows: Range<usize>,
    spans: &[Spans],
    shard: usize,
    shards: usize,
) -> Vec<KeyIndex> {
    let mine = spans.iter().skip(shard).step_by(shards);
    let mut keys: Vec<KeyIndex> = mine.map(|s| KeyIndex::new(s.offsets, s.values)).collect();
    let at = |key: usize| (key % shards == shard).then_some(key / shards);
    for i in rows {
        let Ok(row) = u32::try_from(i) else { break };
        if !is_data(history, i) {
            continue;
        }
        let kind = history.kind(i);
        let open = kind == Kind::Invoke;
        if open && history.pair(i).is_some() {
            continue;
        }
        let (reads, writes) = (reads_count(history.f(i)), writes_count(history.f(i)));
        for mop in history.mops(i) {
            match mop {
                MopRef::Send { key, value, offset, .. } => {
                    let Some(at) = at(key.index()).filter(|_| writes) else { continue };
                    if open {
                        keys[at].send_open(row, value);
                    } else {
                        keys[at].send(row, kind, value, offset);
                    }
                }
                MopRef::Poll(Some(poll)) if reads && !open => {
                    for group in poll.groups() {
                        let Some(at) = at(group.key.index()) else { continue };
                        let key = &mut keys[at];
                        for (offset, value) in group.iter() {
                            key.record(row, kind == Kind::Ok, offset, value);
                        }
                    }
                }
                MopRef::Poll(_) => {}
            }
        }
    }
    keys
}

/// One bit a row: the info completions of which an ok operation read at least one send.
fn prove(history: &History, keys: &[KeyIndex]) -> Vec<u64> {
    let mut proved = vec![0u64; history.len() / 64 + 1];
    for i in 0..history.len() {
        if history.kind(i) != Kind::Info || !is_data(history, i) || !writes_count(history.f(i)) {
            continue;
        }
        let read = history.mops(i).any(|mop| match mop {
            MopRef::Send { key, value, .. } => {
                let key = &keys[key.index()];
                key.slot_of(value).is_some_and(|slot| key.first_read(slot).is_some())
            }
            MopRef::Poll(_) => false,
        });
        if read {
            proved[i / 64] |= 1 << (i % 64);
        }
    }
    proved
}
