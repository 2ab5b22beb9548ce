//! How many requests one address may make.

use crate::error::ApiError;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses beyond this many push out those that were quiet longest.
const ADDRESSES_MAX: usize = 10_000;

/// A bucket of requests that fills again with time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// How many may come at once.
    pub(crate) burst: f64,
    /// How many come back a second.
    pub(crate) per_second: f64,
}

/// A page asks some ten times at once, and a script that watches a campaign some times a second.
pub(crate) const REQUESTS: Limit = Limit { burst: 600.0, per_second: 100.0 };
/// Tokens cannot be guessed; this keeps a broken script from filling the log.
pub(crate) const LOGINS: Limit = Limit { burst: 20.0, per_second: 0.5 };

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, limit: Limit, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * limit.per_second).min(limit.burst);
        self.at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// The buckets of all addresses.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: Mutex<BTreeMap<(IpAddr, bool), Bucket>>,
}

impl Rates {
    /// Lets a request of this address pass, or says when to come back.
    pub(crate) fn admit(&self, address: IpAddr, is_login: bool) -> Result<(), ApiError> {
        let limit = if is_login { LOGINS } else { REQUESTS };
        let now = Instant::now();
        // What it guards is counts: after a panic elsewhere they are at worst one off.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&(address, is_login)) {
            let quietest = buckets.iter().min_by_key(|(_, b)| b.at).map(|(key, _)| *key);
            quietest.map(|key| buckets.remove(&key));
        }
        let bucket =
            buckets.entry((address, is_login)).or_insert(Bucket { left: limit.burst, at: now });
        if bucket.take(limit, now) { Ok(()) } else { Err(ApiError::too_many()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_what_follows_waits_for_time() {
        let start = Instant::now();
        let limit = Limit { burst: 3.0, per_second: 2.0 };
        let mut bucket = Bucket { left: 3.0, at: start };
        let taken: Vec<bool> = (0..5).map(|_| bucket.take(limit, start)).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        assert!(bucket.take(limit, start + Duration::from_millis(500)));
        assert!(!bucket.take(limit, start + Duration::from_millis(500)));
    }

    #[test]
    fn one_address_does_not_use_up_anothers() {
        let rates = Rates::default();
        let of = |n: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let admitted = (0..1000).filter(|_| rates.admit(of(1), true).is_ok()).count();
        assert!(admitted < 1000);
        assert!(rates.admit(of(2), true).is_ok());
    }
}
