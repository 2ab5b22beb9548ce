//! The workload `queue`: unique values are sent to the partitions of one topic and polled with assigned partitions.
//!
//! Every thread follows its stream of operations; the final phase is the common one.

use super::{Description, threads};
use crate::client::StartAt;
use crate::generator::{OpStream, Planned};
use crate::session::{Session, SessionError, Shared};
use crate::turn::Turn;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const DESCRIPTION: Description = Description {
    name: "queue",
    what: "unique values are sent to the partitions of one topic and polled by consumers with assigned partitions",
    finds: &[
        "lost-write",
        "lost-tail",
        "duplicate",
        "inconsistent-offsets",
        "nonmonotonic-poll",
        "poll-skip",
        "early-read",
        "stale-read",
        "resurrected-write",
        "truncated-log",
        "corrupt-record",
        "availability-gap",
        "never-recovered",
    ],
    needs: "any Kafka-compatible cluster",
    coverage_min: &[],
};

/// Runs all threads until their time is over or `stop` is cancelled.
pub(super) async fn main_phase(
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<(), SessionError> {
    threads(&shared, &stop, |turn| run_thread(shared.clone(), turn)).await
}

/// One thread: it follows its stream of operations until its time is over or `stop` is cancelled.
pub(super) async fn run_thread(shared: Arc<Shared>, mut turn: Turn) -> Result<(), SessionError> {
    let mut stream = OpStream::new(&shared.plan, turn.thread);
    let mut session = Session::new(shared.clone(), turn.thread)?;
    while turn.is_due(&shared, stream.gap()).await {
        act(&mut session, stream.next_op()).await?;
    }
    session.close().await;
    Ok(())
}

/// Does one operation of the stream.
pub(super) async fn act(session: &mut Session, planned: Planned) -> Result<(), SessionError> {
    match planned {
        Planned::Assign(partitions) => session.assign(&partitions, StartAt::Recent).await?,
        Planned::Send { partition, value } => {
            session.send(partition, value).await?;
        }
        Planned::Poll => {
            let client = &session.shared.plan.client;
            let (wait, most) = (Duration::from_millis(client.poll_ms), client.poll_records_max);
            session.poll(wait, most).await?;
        }
    }
    Ok(())
}
