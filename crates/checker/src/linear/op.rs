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

/// The first event (a return) whose prefix is broken.
///
/// `upper` is an event whose prefix, itself included, is known to be broken; `returns` are the events of all returns in
/// ascending order; `holds(before)` tells whether the events before `before` are linearizable. Linearizability is
/// prefix-closed, so the answer is found by steps of growing length backwards from `upper` and then by halving.
pub(crate) fn first_broken(
    upper: u64,
    returns: &[u64],
    mut holds: impl FnMut(u64) -> bool,
) -> u64 {
    let mut bad = returns.partition_point(|r| *r < upper);
    if bad >= returns.len() {
        bad = returns.len().saturating_sub(1);
    }
    let mut good = None;
    let mut stride = 1;
    let mut at = bad;
    while at > 0 {
        at = at.saturating_sub(stride);
        stride *= 4;
        if holds(returns[at] + 1) {
            good = Some(at);
            break;
        }
        bad = at;
    }
    let mut low = good.map_or(0, |g| g + 1);
    while low < bad {
        let middle = low + (bad - low) / 2;
        if holds(returns[middle] + 1) {
            low = middle + 1;
        } else {
            bad = middle;
        }
    }
    returns.get(bad).copied().unwrap_or(upper)
}
