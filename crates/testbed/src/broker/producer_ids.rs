//! InitProducerId: ids for idempotent producers, taken from blocks that Raft hands out.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use tokio::sync::Mutex;

use super::dispatch::Answer;
use super::{Context, Reply};
use crate::control::commands::{Command, Outcome};
use crate::control::plane::Plane;

/// Ids in one block.
const BLOCK: u32 = 1_000;

/// How long a client waits for a new block.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is left of this node's block.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// A producer id that nobody got before.
    async fn next(&self, plane: &Plane) -> Option<i64> {
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

/// Answers InitProducerId. An idempotent producer always gets a new id, at epoch 0. There are no
/// transactions, hence no coordinator for a transactional id.
pub(super) async fn init_producer_id(
    context: Arc<Context>,
    request: InitProducerIdRequest,
    answer: Answer,
) -> Reply {
    let failed = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    let response = if request.transactional_id.is_some() {
        failed(ResponseError::CoordinatorNotAvailable)
    } else {
        match context.producer_ids.next(&context.plane).await {
            Some(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)),
            None => failed(ResponseError::CoordinatorNotAvailable),
        }
    };
    answer.with(&response)
}
