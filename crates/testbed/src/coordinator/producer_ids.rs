//! Producer ids, taken from blocks that Raft hands out.

use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::control::commands::{Command, Outcome};
use crate::control::plane::Plane;

/// Ids in one block.
const BLOCK: u32 = 1_000;

/// How long a client waits for a new block.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is left of this node's block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// A producer id that nobody got before.
    pub(crate) async fn next(&self, plane: &Plane) -> Option<i64> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            // Applying it twice wastes a block and does no harm.
            let command = Command::AllocateProducerIds { count: BLOCK };
            let answer = plane.propose_until(&command, Instant::now() + PATIENCE).await;
            let Ok(Outcome::ProducerIds { first }) = answer else { return None };
            *block = first..first + i64::from(BLOCK);
        }
        block.next()
    }
}
