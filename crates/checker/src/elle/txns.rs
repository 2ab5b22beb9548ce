//! Transactions over lists or registers, read from a history.

use crate::linear::convert::codes::Codes;
use perjury_history::{History, Kind, Process};
use serde_json::Value;

/// The code of nil: the initial value of a register.
pub(super) const NIL: u32 = 0;

/// One access of a transaction. Keys and values are codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mop {
    /// A value was appended to a list.
    Append(u32, u32),
    /// A list was read: the range of its elements in [`Txns::elements`]. `None`: not known.
    List(u32, Option<(u32, u32)>),
    /// A register was written.
    Write(u32, u32),
    /// A register was read. `None`: not known.
    Read(u32, Option<u32>),
}

/// A transaction with its outcome. One that never completed counts as info.
#[derive(Debug, Clone, Copy)]
pub(super) struct Txn {
    /// The event by which it is named.
    pub(super) event: u64,
    pub(super) invoke: Option<u64>,
    pub(super) kind: Kind,
    pub(super) process: Option<u32>,
    first: u32,
    end: u32,
}

impl Txn {
    pub(super) fn is_ok(&self) -> bool {
        self.kind == Kind::Ok
    }

    /// Whether it may have happened.
    pub(super) fn is_possible(&self) -> bool {
        self.kind != Kind::Fail
    }
}

/// All transactions of a history in order of completion.
#[derive(Debug)]
pub(super) struct Txns {
    pub(super) txns: Vec<Txn>,
    mops: Vec<Mop>,
    elements: Vec<u32>,
    pub(super) keys: Codes,
    pub(super) values: Codes,
}

/// What the accesses of transactions look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Lists,
    Registers,
}

pub(super) fn word(value: &Value) -> Option<&str> {
    value.as_str().map(|s| s.trim_start_matches(':'))
}

/// The accesses of a row, if it is a transaction.
fn accesses(history: &History, i: usize) -> Option<&[Value]> {
    let mops = history.json(i)?.as_array()?;
    let fits = |mop: &Value| {
        let parts = mop.as_array().is_some_and(|m| m.len() >= 2 && m.len() <= 3);
        let name = mop.get(0).and_then(word);
        parts && matches!(name, Some("append" | "r" | "w" | "read" | "write"))
    };
    mops.iter().all(fits).then_some(mops.as_slice())
}

/// What the transactions of a history work on, judged by the first access that shows it.
pub(super) fn shape(history: &History) -> Option<Shape> {
    let mut found = None;
    for i in 0..history.len() {
        for mop in accesses(history, i).unwrap_or_default() {
            match mop.get(0).and_then(word) {
                Some("append") => return Some(Shape::Lists),
                Some("w" | "write") => return Some(Shape::Registers),
                _ if mop.get(2).is_some_and(Value::is_array) => return Some(Shape::Lists),
                _ => found = Some(Shape::Registers),
            }
        }
    }
    found
}

impl Txns {
    pub(super) fn read(history: &History, shape: Shape) -> Txns {
        let mut txns = Txns {
            txns: Vec::new(),
            mops: Vec::new(),
            elements: Vec::new(),
            keys: Codes::new(),
            values: Codes::new(),
        };
        for i in 0..history.len() {
            if !history.process(i).is_none_or(Process::is_client) {
                continue;
            }
            let Some(mops) = accesses(history, i) else { continue };
            let (kind, invoke) = match history.kind(i) {
                Kind::Invoke if history.pair(i).is_some() => continue,
                Kind::Invoke => (Kind::Info, Some(i as u64)),
                kind => (kind, history.pair(i).map(|p| p as u64)),
            };
            let process = match history.process(i) {
                Some(Process::Client(p)) => Some(p),
                _ => None,
            };
            let first = txns.small();
            for mop in mops {
                let mop = txns.mop(mop, shape, kind);
                txns.mops.push(mop);
            }
            let end = txns.small();
            txns.txns.push(Txn { event: i as u64, invoke, kind, process, first, end });
        }
        txns
    }

    fn small(&self) -> u32 {
        u32::try_from(self.mops.len()).unwrap_or(u32::MAX)
    }

    fn mop(&mut self, mop: &Value, shape: Shape, kind: Kind) -> Mop {
        let null = &Value::Null;
        let (key, value) = (mop.get(1).unwrap_or(null), mop.get(2).unwrap_or(null));
        let key = self.keys.code(key);
        match (mop.get(0).and_then(word), shape) {
            (Some("append"), _) => Mop::Append(key, self.values.code(value)),
            (Some("w" | "write"), _) => Mop::Write(key, self.values.code(value)),
            (_, Shape::Lists) => {
                let first = u32::try_from(self.elements.len()).unwrap_or(u32::MAX);
                let Some(elements) = value.as_array() else {
                    // A list that was never appended to is nil.
                    return Mop::List(key, (kind == Kind::Ok).then_some((first, first)));
                };
                for element in elements {
                    let code = self.values.code(element);
                    self.elements.push(code);
                }
                let end = u32::try_from(self.elements.len()).unwrap_or(u32::MAX);
                Mop::List(key, Some((first, end)))
            }
            (_, Shape::Registers) => {
                let known = kind == Kind::Ok || !value.is_null();
                Mop::Read(key, known.then(|| self.values.code(value)))
            }
        }
    }

    pub(super) fn mops(&self, txn: &Txn) -> &[Mop] {
        &self.mops[txn.first as usize..txn.end as usize]
    }

    /// The mops of all transactions, each with its transaction's number.
    pub(super) fn each(&self) -> impl Iterator<Item = (u32, &Txn, Mop)> {
        (0u32..)
            .zip(&self.txns)
            .flat_map(|(t, txn)| self.mops(txn).iter().map(move |m| (t, txn, *m)))
    }

    pub(super) fn list(&self, (first, end): (u32, u32)) -> &[u32] {
        &self.elements[first as usize..end as usize]
    }

    pub(super) fn event(&self, txn: u32) -> u64 {
        self.txns[txn as usize].event
    }

    pub(super) fn key(&self, key: u32) -> String {
        self.keys.name(key)
    }

    pub(super) fn value(&self, value: u32) -> String {
        self.values.name(value)
    }

    /// A list for people, its middle left out when it is long.
    pub(super) fn show(&self, list: &[u32]) -> String {
        const ENDS: usize = 8;
        let names = |part: &[u32]| {
            let names: Vec<String> = part.iter().map(|v| self.value(*v)).collect();
            names.join(" ")
        };
        if list.len() <= 3 * ENDS {
            return format!("[{}]", names(list));
        }
        let tail = &list[list.len() - ENDS..];
        format!("[{} … {}] ({} elements)", names(&list[..ENDS]), names(tail), list.len())
    }
}

/// A key and a value as one number.
pub(super) fn pair(key: u32, value: u32) -> u64 {
    (u64::from(key) << 32) | u64::from(value)
}
