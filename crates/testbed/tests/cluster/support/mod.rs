//! A cluster to break and a client to see it with.

pub(crate) mod client;
pub(crate) mod nodes;
pub(crate) mod txn;

use std::future::Future;
use std::time::Duration;

/// Tries of [`eventually`]; with its pause about 40 s.
const TRIES: usize = 800;

/// Looks again and again until `look` gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    for _ in 0..TRIES {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never happened: {what}");
}
