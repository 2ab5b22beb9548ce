//! The workload `fencing`: two threads with one transactional id take it from each other.
//!
//! A thread that was fenced first goes on as if it did not know: it must be refused. Transactions are interrupted by
//! pauses in which the other thread takes over. Then it takes the id back with a new client.

use super::observers;
use super::stream::{Planned, Stream};
use super::{Description, transactional};
use crate::attempt::{End, Step};
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "fencing",
    what: "pairs of producers with one transactional id take it from each other, and the one that was fenced goes on as if \
           it did not know, also from within a transaction that was paused",
    finds: &[
        "zombie-write",
        "G1a",
        "torn-transaction",
        "early-read",
        "lost-write",
        "lost-tail",
        "hanging-transaction",
        "duplicate",
        "inconsistent-offsets",
        "corrupt-record",
    ],
    needs: "transactions (KIP-98)",
    coverage_min: &[
        ("ok txn", 20),
        ("fail txn", 5),
        ("ok init-transactions", 6),
        ("ok peek", 1),
        ("ok list-offsets", 1),
    ],
};

/// One operation in this many takes the id over, if this thread does not know that it lost it.
const TAKE_OVER_ONE_IN: u32 = 16;

/// One transaction in this many is paused.
const PAUSE_ONE_IN: u32 = 6;

/// The mean length of a pause.
const PAUSE: Duration = Duration::from_millis(600);

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    observers::beside(shared, &stop, work).await
}

async fn work(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let topic = &shared.plan.topic;
    // The last of an odd number of threads has its id alone, and is never fenced.
    let id = format!("{}-{}", topic.topic, turn.thread / 2);
    let role = transactional::writer(&shared.plan, topic, &id, &id);
    let mut stream = Stream::new(&shared.plan, turn.thread);
    let mut session = Session::with(shared.clone(), turn.thread, role)?;
    while turn.is_due(&shared, stream.gap()).await {
        let planned = stream.sends(&topic.topic, 3);
        let take_over = stream.once_in(TAKE_OVER_ONE_IN);
        let pause = stream.once_in(PAUSE_ONE_IN).then(|| stream.about(PAUSE));
        let rest = stream.about(PAUSE);
        if take_over || planned == Planned::Crash {
            session.crash().await?;
        }
        let Planned::Txn(mut request) = planned else { continue };
        if let Some(pause) = pause {
            request.steps.insert(1, Step::Sleep(pause));
        }
        if !session.init_transactions().await? {
            continue;
        }
        let process = session.process;
        session.transaction(&request).await?;
        if session.process != process && request.end != End::Crash {
            // Fenced, most likely: the other one works for a while before the id is taken back.
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = turn.stop.cancelled() => {}
            }
        }
    }
    session.close().await;
    Ok(())
}
