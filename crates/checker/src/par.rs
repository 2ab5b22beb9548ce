//! Work dealt out to scoped threads, with results in a fixed order.
//!
//! Which thread does what never shows in a result: every item is worked on by one thread alone, and results are put
//! back by the item's number. A panic in a worker goes on in the caller.

use std::panic::resume_unwind;
use std::thread;

/// Calls `work(shard, shards)` for each of at most `threads` shards and interleaves what they give: item `i` of the
/// result is item `i / shards` of shard `i % shards`. Each shard must give one item for every number below `len` that
/// it owns.
pub(crate) fn shards<T: Send>(
    len: usize,
    threads: usize,
    work: impl Fn(usize, usize) -> Vec<T> + Sync,
) -> Vec<T> {
    let shards = threads.clamp(1, len.max(1));
    if shards == 1 {
        return work(0, 1);
    }
    let work = &work;
    let parts: Vec<Vec<T>> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..shards).map(|shard| scope.spawn(move || work(shard, shards))).collect();
        workers.into_iter().map(|w| w.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    (0..len).filter_map(|i| parts[i % shards].next()).collect()
}

/// Calls `work` for every number below `len` on at most `threads` threads; the results are in order.
pub(crate) fn map<T: Send>(len: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    shards(len, threads, |shard, shards| (shard..len).step_by(shards).map(&work).collect())
}

/// Calls `work` for every item on at most `threads` threads.
pub(crate) fn for_each_mut<T: Send>(items: &mut [T], threads: usize, work: impl Fn(&mut T) + Sync) {
    let chunk = items.len().div_ceil(threads.max(1)).max(1);
    if chunk >= items.len() {
        items.iter_mut().for_each(work);
        return;
    }
    let work = &work;
    thread::scope(|scope| {
        for part in items.chunks_mut(chunk) {
            scope.spawn(move || part.iter_mut().for_each(work));
        }
    });
}
