//! The workload `txn`: transactions that send to and poll from the partitions of one topic.
//!
//! Every thread has a transactional id, which each of its processes takes over in turn. Its transactions hold up to four
//! sends and polls; what they polled they commit as consumed. Some are aborted on purpose, and some lose their client
//! before the commit. Observers look on, with and without isolation.

use super::observers;
use super::stream::{Planned, Stream};
use super::{Description, transactional};
use crate::client::StartAt;
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "txn",
    what: "transactions send to and poll from the partitions of one topic, some are aborted or torn down on purpose, \
           and observers read committed and uncommitted",
    finds: &[
        "G1a",
        "torn-transaction",
        "early-read",
        "precommitted-read",
        "hanging-transaction",
        "lost-write",
        "lost-tail",
        "duplicate",
        "inconsistent-offsets",
        "G1c",
        "nonmonotonic-poll",
        "poll-skip",
        "int-nonmonotonic-poll",
        "int-poll-skip",
        "resurrected-write",
        "truncated-log",
        "offset-regression",
        "corrupt-record",
        "zombie-write",
    ],
    needs: "transactions (KIP-98)",
    coverage_min: &[
        ("ok txn", 50),
        ("fail txn", 5),
        ("ok peek", 1),
        ("ok list-offsets", 1),
        ("info crash", 3),
    ],
};

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    observers::beside(shared, &stop, work).await
}

async fn work(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let topic = &shared.plan.topic;
    let id = format!("{}-{}", topic.topic, turn.thread);
    let role = transactional::writer(&shared.plan, topic, &id, &id);
    let mut stream = Stream::new(&shared.plan, turn.thread);
    let mut session = Session::with(shared.clone(), turn.thread, role)?;
    while turn.is_due(&shared, stream.gap()).await {
        match stream.mixed(&topic.topic) {
            Planned::Assign(partitions) => session.assign(&partitions, StartAt::Recent).await?,
            Planned::Crash => session.crash().await?,
            Planned::Txn(request) => {
                if session.init_transactions().await? {
                    session.transaction(&request).await?;
                }
            }
        }
    }
    session.close().await;
    Ok(())
}
