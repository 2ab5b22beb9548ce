//! Rows with the same rare things share them.

use crate::columns::{Extra, ExtraId, HistoryBuilder};
use crate::event::Payload;
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

impl ExtraCache {
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
