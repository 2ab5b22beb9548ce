//! The operation model of linearizability: an interval, what was asked, what was answered.

/// The place of an operation that never returns on the line of events.
pub(crate) const NEVER: u64 = u64::MAX;

/// One operation on one object.
///
/// Events are positions in the history; line order is the real-time order. `call` holds what was asked together with
/// what was answered. Operations that failed are left out before they become an `Op`, since they did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op<C> {
    /// The client, where the history names it.
    pub process: Option<u32>,
    /// The event at which it was invoked.
    pub invoke: u64,
    /// The event at which it returned. `None`: its outcome is unknown, so it may take effect at any later time, or
    /// never.
    pub ret: Option<u64>,
    /// What was asked and what was answered.
    pub call: C,
}

impl<C> Op<C> {
    /// The event at which it returned, or a position after every event.
    pub(crate) fn returned(&self) -> u64 {
        self.ret.unwrap_or(NEVER)
    }

    /// Which operation this is, without what it did.
    pub fn id(&self) -> OpRef {
        OpRef { invoke: self.invoke, ret: self.ret }
    }
}

/// An operation named by its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct OpRef {
    /// The event at which it was invoked.
    pub invoke: u64,
    /// The event at which it returned, if it did.
    pub ret: Option<u64>,
}

impl OpRef {
    /// The event by which reports name it: its completion, or its invocation when it has none.
    pub fn shown(self) -> u64 {
        self.ret.unwrap_or(self.invoke)
    }
}

impl std::fmt::Display for OpRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operation {}", self.shown())
    }
}

/// The events of all returns, those of operations that failed included, ascending.
pub(crate) fn returns<C>(ops: &[Op<C>], aborted: &[(u32, OpRef)]) -> Vec<u64> {
    let mut returns: Vec<u64> = ops.iter().filter_map(|o| o.ret).collect();
    returns.extend(aborted.iter().map(|(_, id)| id.shown()));
    returns.sort_unstable();
    returns.dedup();
    returns
}

/// What is known before event `before` of writes that fail: those that had failed by then. The others are open there, so
/// that they become operations of unknown outcome, which `write` makes of the value.
pub(crate) fn aborted_before<C>(
    aborted: &[(u32, OpRef)],
    before: u64,
    ops: &mut Vec<Op<C>>,
    write: impl Fn(u32) -> C,
) -> Vec<(u32, OpRef)> {
    let mut failed = Vec::new();
    for (value, id) in aborted.iter().filter(|(_, id)| id.invoke < before) {
        if id.shown() < before {
            failed.push((*value, *id));
        } else {
            ops.push(Op { process: None, invoke: id.invoke, ret: None, call: write(*value) });
        }
    }
    failed
}

/// The first event (a return) whose prefix is broken.
///
/// `guess` is where to look first, best an event soon after it; `returns` are the events of all returns in ascending
/// order; `holds(before)` tells whether the events before `before` are linearizable, which is not so for all of them.
/// Linearizability is prefix-closed, so the answer is found by steps of growing length from the guess, then by halving.
pub(crate) fn first_broken(guess: u64, returns: &[u64], mut holds: impl FnMut(u64) -> bool) -> u64 {
    let Some(last) = returns.len().checked_sub(1) else { return guess };
    let mut at = returns.partition_point(|r| *r < guess).min(last);
    let mut stride = 1;
    // The answer is in low..=high.
    let (mut low, mut high) = (0, last);
    if at < last && holds(returns[at] + 1) {
        low = at + 1;
        while low + stride <= high && holds(returns[low + stride - 1] + 1) {
            low += stride;
            stride *= 4;
        }
        high = high.min(low + stride - 1);
    } else {
        high = at;
        while at > 0 {
            at = at.saturating_sub(stride);
            stride *= 4;
            if holds(returns[at] + 1) {
                low = at + 1;
                break;
            }
            high = at;
        }
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(returns[middle] + 1) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    returns[low]
}

#[cfg(test)]
mod tests {
    use super::first_broken;

    #[test]
    fn the_first_broken_return_is_found_from_every_guess() {
        let returns: Vec<u64> = (0..100).map(|i| 3 * i + 1).collect();
        for broken in 0..100 {
            for guess in [0, 1, 50, 148, 149, 297, 298, 900, u64::MAX] {
                let at = first_broken(guess, &returns, |before| before <= returns[broken]);
                assert_eq!(at, returns[broken], "guess {guess}");
            }
        }
    }
}
