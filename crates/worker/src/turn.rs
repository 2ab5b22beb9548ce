//! The time of the main phase: it counts from when clients have got going.
//!
//! Clients need a moment to find their brokers, and a group a moment to come together; on a busy machine that is seconds.
//! A run whose time and faults began before would spend them on clients that do nothing, and prove little. So the main
//! phase begins to count once every thread got an answer that says something, or after [`WARM_UP_LIMIT`] at the latest:
//! a cluster that does not answer is what a run is to show, too. Operations before that moment are recorded and judged
//! like all others.

use crate::session::Shared;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long clients may take to get going before the main phase begins without them.
pub const WARM_UP_LIMIT: Duration = Duration::from_secs(15);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(20);

/// When the main phase began, and when it is over.
#[derive(Debug)]
pub struct MainTime {
    length: Duration,
    began: OnceLock<Instant>,
    begins: CancellationToken,
}

impl MainTime {
    /// A main phase of this length that has not begun.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        MainTime { length, began: OnceLock::new(), begins: CancellationToken::new() }
    }

    /// From now on it counts. Later calls change nothing.
    pub fn begin(&self) {
        self.began.get_or_init(Instant::now);
        self.begins.cancel();
    }

    /// Waits until it counts.
    pub async fn begun(&self) {
        self.begins.cancelled().await;
    }

    /// How long it has counted; nothing before it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    fn is_over_at(&self, moment: Instant) -> bool {
        self.began.get().is_some_and(|began| moment.duration_since(*began) >= self.length)
    }
}

/// Begins the main phase once every thread has got going, or at the latest after [`WARM_UP_LIMIT`].
pub(crate) async fn warm_up(shared: &Shared, stop: &CancellationToken) {
    let (limit, threads) = (Instant::now() + WARM_UP_LIMIT, shared.plan.concurrency);
    while shared.recorder.answered() < threads && Instant::now() < limit && !stop.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
    shared.time.begin();
}

/// One thread of the main phase: its number, and when its next operation is due.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) thread: u32,
    pub(crate) stop: CancellationToken,
    due: Instant,
}

impl Turn {
    pub(crate) fn new(thread: u32, stop: CancellationToken) -> Self {
        Turn { thread, stop, due: Instant::now() }
    }

    /// Waits for the next operation's time. Nothing is left to do once that is behind the end of the main phase or the
    /// thread is to stop.
    pub(crate) async fn is_due(&mut self, shared: &Shared, gap: Duration) -> bool {
        // A thread that was held up does not make up for it in a burst.
        self.due = (self.due + gap).max(Instant::now());
        if shared.time.is_over_at(self.due) || self.stop.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep_until(self.due) => !shared.time.is_over_at(self.due),
            () = self.stop.cancelled() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{Draft, Recorder};
    use perjury_history::{F, Header, Kind, Mop, Payload, Process};
    use std::sync::Arc;

    fn shared(dir: &std::path::Path) -> Shared {
        let path = dir.join("history.jsonl");
        let recorder = Recorder::create(&path, &Header::default(), std::time::Instant::now());
        let plan = crate::plan::tests::plan(1);
        Shared::new(plan, "127.0.0.1:1".into(), Arc::new(recorder.unwrap()), Arc::default())
    }

    fn answer(shared: &Shared, process: u32) {
        let value = Payload::Mops(vec![Mop::Send {
            key: "t-0".into(),
            value: i64::from(process).into(),
            offset: Some(Some(0)),
        }]);
        let draft = Draft::new(Process::Client(process), Kind::Ok, F::Send, value);
        shared.recorder.record(draft).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn time_counts_from_the_answer_to_the_last_thread() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(dir.path());
        let stop = CancellationToken::new();
        let mut turn = Turn::new(0, stop.clone());
        let clients = async {
            for process in 0..shared.plan.concurrency {
                tokio::time::sleep(Duration::from_secs(2)).await;
                assert_eq!(shared.time.elapsed(), Duration::ZERO);
                assert!(turn.is_due(&shared, Duration::ZERO).await);
                answer(&shared, process);
            }
        };
        tokio::join!(clients, warm_up(&shared, &stop));
        let left = Duration::from_millis(shared.plan.time_limit_ms) - shared.time.elapsed();
        assert!(left > Duration::from_secs(29));
        assert!(turn.is_due(&shared, left - Duration::from_millis(1)).await);
        assert!(!turn.is_due(&shared, Duration::from_millis(2)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_does_not_answer_is_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(dir.path());
        let began = Instant::now();
        answer(&shared, 0);
        warm_up(&shared, &CancellationToken::new()).await;
        assert!(began.elapsed() >= WARM_UP_LIMIT && began.elapsed() < WARM_UP_LIMIT * 2);
    }
}
