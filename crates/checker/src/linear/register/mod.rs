//! A register whose written values are unique, decided without search.
//!
//! # The model
//! One value, at first a known one. `write(v)`, `read → v`, and `cas(a → b)`, which succeeds only when the register
//! holds `a`.
//!
//! # How it is decided
//! All operations of one value form a *cluster*: its write and its reads. Let `f` be the earliest return and `s` the
//! latest invocation in it. If `f < s` the value must be held during the whole *forward zone* `[f, s]`; otherwise one
//! instant of the *backward zone* `[s, f]` is enough. The history is linearizable exactly when every read has a write
//! that was invoked before the read returned, forward zones are pairwise disjoint, and no backward zone lies within a
//! forward zone (Gibbons and Korach 1997). A successful `cas(a → b)` ties the cluster of `b` directly to that of `a`:
//! the clusters of such a chain form one block with one zone, within which an operation of an earlier group must not
//! begin after one of a later group has returned.
//!
//! Operations of unknown outcome take effect only if somebody saw their value; dropping the others is safe.

mod zones;

use super::budget::Budget;
use super::op::{NEVER, Op, OpRef, aborted_before, first_broken, returns};
use super::outcome::{Answer, Unknown, Violation};
use zones::Judgement;

/// One operation on a register, with its answer. Values are codes, dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegisterCall {
    /// The register held this value.
    Read(u32),
    /// The register shall hold this value.
    Write(u32),
    /// The register held the first value and now holds the second.
    Cas(u32, u32),
    /// A compare-and-set failed: the register did not hold this value.
    Differs(u32),
}

/// The operations on one register.
#[derive(Debug, Clone, Default)]
pub struct Register {
    /// The operations in order of invocation. Reads that did not return are left out.
    pub ops: Vec<Op<RegisterCall>>,
    /// The value at first.
    pub initial: u32,
    /// Values whose write failed, with its invocation and its failure: reading one is an aborted read.
    pub aborted: Vec<(u32, OpRef)>,
}

impl Register {
    /// Whether zones decide this history: no value is written twice or equals the initial one, and no bare failed
    /// compare-and-set leaves the value open.
    pub fn is_unique(&self) -> bool {
        let mut seen = vec![false; zones::values_len(self)];
        seen[self.initial as usize] = true;
        self.ops.iter().all(|op| match op.call {
            RegisterCall::Read(_) => true,
            RegisterCall::Write(v) | RegisterCall::Cas(_, v) => {
                !std::mem::replace(&mut seen[v as usize], true)
            }
            RegisterCall::Differs(_) => false,
        })
    }

    /// The same history with all failed compare-and-sets left out. Not linearizable without them, not linearizable
    /// with them.
    pub fn without_failed_cas(&self) -> Register {
        let keep = |op: &&Op<RegisterCall>| !matches!(op.call, RegisterCall::Differs(_));
        Register { ops: self.ops.iter().filter(keep).cloned().collect(), ..self.clone() }
    }

    /// The operations without writes of unknown outcome that nobody can have noticed. A failed compare-and-set may be
    /// explained by any write, so nothing is left out when there is one without a value.
    pub(super) fn without_unseen(&self) -> Vec<Op<RegisterCall>> {
        let mut seen = vec![false; zones::values_len(self)];
        for op in &self.ops {
            match op.call {
                RegisterCall::Read(v) | RegisterCall::Cas(v, _) => seen[v as usize] = true,
                RegisterCall::Write(_) => {}
                RegisterCall::Differs(_) => return self.ops.clone(),
            }
        }
        let keep = |op: &&Op<RegisterCall>| match op.call {
            RegisterCall::Write(v) | RegisterCall::Cas(_, v) => {
                op.ret.is_some() || seen[v as usize]
            }
            _ => true,
        };
        self.ops.iter().filter(keep).cloned().collect()
    }

    /// What had happened before event `before`.
    fn before(&self, before: u64) -> Register {
        let ops = self.ops.iter().filter(|op| op.invoke < before).filter_map(|op| {
            let ret = op.ret.filter(|r| *r < before);
            let is_write = matches!(op.call, RegisterCall::Write(_) | RegisterCall::Cas(_, _));
            (ret.is_some() || is_write).then(|| Op { ret, ..op.clone() })
        });
        let mut ops = ops.collect();
        let aborted = aborted_before(&self.aborted, before, &mut ops, RegisterCall::Write);
        Register { ops, initial: self.initial, aborted }
    }
}

/// Decides a register for which [`Register::is_unique`] holds. `name` shows a value's code to people.
///
/// Cost: two passes over the operations and a sort of zones; the certificate sorts the operations.
pub fn decide(
    register: &Register,
    certificate: bool,
    budget: &mut dyn Budget,
    name: &dyn Fn(u32) -> String,
) -> Answer {
    let fault = match zones::judge(register, certificate, budget) {
        Err(what) => return Answer::Unknown(Unknown::exhausted(what, 0)),
        Ok(Judgement::Holds(order)) => return Answer::Linearizable { order },
        Ok(Judgement::Broken(fault)) => fault,
    };
    let returns = returns(&register.ops, &register.aborted);
    let named = fault.ops.iter().flatten();
    let upper = named.map(|o| o.ret.unwrap_or(0)).max().unwrap_or(NEVER);
    let end = first_broken(upper, &returns, |before| {
        matches!(zones::judge(&register.before(before), false, budget), Ok(Judgement::Holds(_)))
    });
    let fault = match zones::judge(&register.before(end + 1), false, budget) {
        Ok(Judgement::Broken(fault)) => fault,
        _ => fault,
    };
    let prefix = match zones::judge(&register.before(end), true, budget) {
        Ok(Judgement::Holds(order)) => order.unwrap_or_default(),
        _ => Vec::new(),
    };
    let (contradicting, sentence) = (fault.ops.iter().copied().flatten(), fault.sentence(name));
    let code = fault.rule.code();
    let violation = Violation::found(&register.ops, contradicting, (end, prefix), code, sentence);
    Answer::NotLinearizable(Box::new(violation))
}
