//! The monotonic time axis that every observation of this crate is put on.

use std::time::{Duration, Instant};

/// Monotonic nanoseconds since an origin that the caller chooses, so that cluster observations and
/// the operations of a history share one axis.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that reads 0 at `origin`. Instants before the origin read 0.
    #[must_use]
    pub fn starting_at(origin: Instant) -> Self {
        Self { origin }
    }

    /// Nanoseconds from the origin to now.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        saturating_ns(self.origin.elapsed())
    }
}

/// A duration in whole nanoseconds, capped at `u64::MAX` (584 years).
pub(crate) fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration in whole milliseconds, rounded down.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The whole milliseconds from `from_ns` to `to_ns`, 0 when `to_ns` is the earlier one.
pub(crate) fn ms_between(from_ns: u64, to_ns: u64) -> u64 {
    to_ns.saturating_sub(from_ns) / 1_000_000
}
