//! Rows with the same rare things share them.

use crate::columns::{Extra, ExtraId, HistoryBuilder};
use crate::event::{F, Payload};
use crate::read_error::Fault;
use rustc_hash::FxHashMap;
use serde_json::Value;

/// The extras of this many different texts are remembered.
const SHARED_MAX: usize = 4096;
/// Longer texts hardly repeat.
const BYTES_MAX: usize = 512;

/// Extras by the text from which they were parsed.
#[derive(Default)]
pub(crate) struct ExtraCache {
    shared: FxHashMap<Box<[u8]>, Option<ExtraId>>,
    scratch: Vec<u8>,
}

/// An extent of a text.
pub(crate) type Span = (usize, usize);

/// Where the rare things of a row stand in its text.
#[derive(Clone, Copy)]
pub(crate) struct Rare<'a> {
    /// The value, unless it was read already.
    pub(crate) value: Option<Span>,
    /// The error.
    pub(crate) error: Option<Span>,
    /// The names and values of all other fields.
    pub(crate) others: &'a [(Span, Span)],
}

impl ExtraCache {
    /// The extra of a row of this function, built when no row before it had the same. `None` when it has nothing rare.
    pub(crate) fn of_row(
        &mut self,
        text: &str,
        f: &F,
        rare: Rare<'_>,
        builder: &mut HistoryBuilder,
        build: fn(&str, &F, Rare<'_>) -> Result<Extra, Fault>,
    ) -> Result<Option<ExtraId>, Fault> {
        if rare.value.is_none() && rare.error.is_none() && rare.others.is_empty() {
            return Ok(None);
        }
        let spans = [rare.value.unwrap_or_default(), rare.error.unwrap_or_default()];
        let others = rare.others.iter().flat_map(|(name, value)| [*name, *value]);
        let parts = spans.into_iter().chain(others).map(|(from, to)| &text.as_bytes()[from..to]);
        let parts = std::iter::once(f.as_str().as_bytes()).chain(parts);
        self.get(parts, builder, || build(text, f, rare))
    }

    /// The extra of these parts of a line, built when they are new. `None` when it holds nothing.
    pub(crate) fn get<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        builder: &mut HistoryBuilder,
        build: impl FnOnce() -> Result<Extra, Fault>,
    ) -> Result<Option<ExtraId>, Fault> {
        self.scratch.clear();
        for part in parts {
            self.scratch.extend_from_slice(part);
            // No text contains a zero byte.
            self.scratch.push(0);
        }
        if let Some(id) = self.shared.get(self.scratch.as_slice()) {
            return Ok(*id);
        }
        let mut extra = build()?;
        if let Payload::Json(value) = &mut extra.payload {
            shrink(value);
        }
        let id = (extra != Extra::default()).then(|| builder.share(extra));
        if self.scratch.len() <= BYTES_MAX && self.shared.len() < SHARED_MAX {
            self.shared.insert(self.scratch.as_slice().into(), id);
        }
        Ok(id)
    }
}

/// Gives back what arrays reserved while they grew. Nothing nests deeper than parsers allow.
fn shrink(value: &mut Value) {
    if let Value::Array(items) = value {
        items.shrink_to_fit();
        items.iter_mut().for_each(shrink);
    }
}
