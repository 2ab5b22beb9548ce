//! Transactions of reads and writes over several registers.

use super::codes::Codes;
use super::{Malformed, event, function, process, rows};
use crate::linear::models::Access;
use crate::linear::op::Op;
use perjury_history::History;
use serde_json::Value;

/// The transactions of a history, with its registers and values. Code 0 is nil.
pub(in crate::linear) struct MultiHistory {
    pub(in crate::linear) ops: Vec<Op<Box<[Access]>>>,
    /// Register `k` of an access has code `k + 1` here.
    pub(in crate::linear) keys: Codes,
    pub(in crate::linear) values: Codes,
}

impl MultiHistory {
    /// How many registers there are.
    pub(in crate::linear) fn registers(&self) -> usize {
        self.keys.len() - 1
    }
}

fn word(value: &Value) -> Option<&str> {
    value.as_str().map(|s| s.trim_start_matches(':'))
}

/// Whether a datum is a list of reads and writes of registers.
pub(super) fn is_transaction(value: &Value) -> bool {
    value.as_array().is_some_and(|mops| {
        !mops.is_empty()
            && mops.iter().all(|mop| {
                let name = mop.get(0).and_then(word);
                matches!(name, Some("r" | "read" | "w" | "write"))
                    && !mop.get(2).is_some_and(Value::is_array)
            })
    })
}

/// Reads all transactions. A read-only transaction of unknown outcome is left out; in others of unknown outcome the
/// reads say nothing.
pub(in crate::linear) fn multi_register(history: &History) -> Result<MultiHistory, Malformed> {
    let mut multi = MultiHistory { ops: Vec::new(), keys: Codes::new(), values: Codes::new() };
    for row in rows(history) {
        if function(history, row.invoke) != "txn" || row.failed().is_some() {
            continue;
        }
        let at = row.returned().unwrap_or(row.invoke);
        let Some(mops) = history.json(at).and_then(Value::as_array) else { continue };
        let mut accesses = Vec::with_capacity(mops.len());
        for mop in mops {
            let Some([f, key, value]) = mop.as_array().map(Vec::as_slice) else {
                return Err(Malformed::new(at, "an access is [function, register, value]"));
            };
            let register = multi.keys.code(key) - u32::from(!key.is_null());
            match word(f) {
                Some("r" | "read") if row.returned().is_some() => {
                    accesses.push(Access::Read(register, multi.values.code(value)));
                }
                Some("r" | "read") => {}
                Some("w" | "write") => {
                    accesses.push(Access::Write(register, multi.values.code(value)));
                }
                _ => return Err(Malformed::new(at, format!("an access reads or writes, not {f}"))),
            }
        }
        if accesses.is_empty() {
            continue;
        }
        let (process, invoke) = (process(history, row.invoke), event(row.invoke));
        let ret = row.returned().map(event);
        multi.ops.push(Op { process, invoke, ret, call: accesses.into() });
    }
    Ok(multi)
}
