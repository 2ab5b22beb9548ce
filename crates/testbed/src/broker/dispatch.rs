//! Which requests are understood, in which versions, and who handles them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest,
    FindCoordinatorResponse, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    OffsetForLeaderEpochRequest, ProduceRequest,
};
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, decode_request_header_from_buffer,
};

use super::{Context, Pending, Reply, fetch, metadata, offsets, produce, producer_ids, topics};
use crate::wire::response_frame;

/// Every request with its lowest and highest version. Produce stays below 10 and Fetch below 13, so
/// that neither topic ids nor the node endpoints of KIP-951 appear in them.
const SUPPORTED: [(ApiKey, i16, i16); 10] = [
    (ApiKey::Produce, 3, 9),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::FindCoordinator, 0, 2),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 5),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
];

/// How to answer one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) correlation_id: i32,
    pub(super) version: i16,
}

impl Answer {
    /// Encodes a response. One that cannot be encoded is a defect of this broker; the connection is
    /// closed, so that the client does not wait.
    pub(super) fn with<M: Encodable + HeaderVersion>(self, message: &M) -> Reply {
        let header_version = M::header_version(self.version);
        match response_frame(self.correlation_id, header_version, message, self.version) {
            Ok(frame) => Reply::Send(frame),
            Err(error) => {
                tracing::error!(%error, "response cannot be encoded");
                Reply::Close
            }
        }
    }
}

fn decode<M: Decodable>(body: &mut Bytes, version: i16) -> io::Result<M> {
    M::decode(body, version).map_err(|error| io::Error::other(format!("bad request: {error}")))
}

fn now(reply: Reply) -> Pending {
    std::future::ready(reply).boxed()
}

/// Lets one request take effect and returns its answer to come. `None` closes the connection, as for
/// a request or version that was never offered.
///
/// # Errors
/// The request cannot be decoded.
pub(super) fn dispatch(context: &Arc<Context>, mut frame: Bytes) -> io::Result<Option<Pending>> {
    if frame.len() < 8 {
        return Err(io::Error::other("request without a header"));
    }
    let header = decode_request_header_from_buffer(&mut frame).map_err(io::Error::other)?;
    let version = header.request_api_version;
    let answer = Answer { correlation_id: header.correlation_id, version };
    let offered = SUPPORTED.iter().find(|(key, ..)| *key as i16 == header.request_api_key);
    let Some((key, min, max)) = offered else { return Ok(None) };
    if version < *min || version > *max {
        // A client that is too new starts with ApiVersions and expects this answer in version 0.
        let old = Answer { version: 0, ..answer };
        let reply = old.with(&api_versions(ResponseError::UnsupportedVersion.code()));
        return Ok((*key == ApiKey::ApiVersions).then(|| now(reply)));
    }
    let context = Arc::clone(context);
    let body = &mut frame;
    Ok(Some(match key {
        ApiKey::Produce => {
            produce::handle(&context, decode::<ProduceRequest>(body, version)?, answer)
        }
        ApiKey::Fetch => {
            fetch::handle(context, decode::<FetchRequest>(body, version)?, answer).boxed()
        }
        ApiKey::ListOffsets => {
            let request = decode::<ListOffsetsRequest>(body, version)?;
            now(offsets::list_offsets(&context, &request, answer))
        }
        ApiKey::OffsetForLeaderEpoch => {
            let request = decode::<OffsetForLeaderEpochRequest>(body, version)?;
            now(offsets::offset_for_leader_epoch(&context, &request, answer))
        }
        ApiKey::Metadata => {
            let request = decode::<MetadataRequest>(body, version)?;
            now(metadata::handle(&context, &request, answer))
        }
        ApiKey::CreateTopics => {
            let request = decode::<CreateTopicsRequest>(body, version)?;
            topics::create(context, request, answer).boxed()
        }
        ApiKey::DeleteTopics => {
            let request = decode::<DeleteTopicsRequest>(body, version)?;
            topics::delete(context, request, answer).boxed()
        }
        ApiKey::InitProducerId => {
            let request = decode::<InitProducerIdRequest>(body, version)?;
            producer_ids::init_producer_id(context, request, answer).boxed()
        }
        ApiKey::FindCoordinator => now(answer.with(&no_coordinator())),
        _ => now(answer.with(&api_versions(0))),
    }))
}

fn api_versions(error_code: i16) -> ApiVersionsResponse {
    let offered = SUPPORTED.iter().map(|(key, min, max)| {
        ApiVersion::default()
            .with_api_key(*key as i16)
            .with_min_version(*min)
            .with_max_version(*max)
    });
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(offered.collect())
}

/// There are no consumer groups and no transactions, hence no coordinators.
fn no_coordinator() -> FindCoordinatorResponse {
    FindCoordinatorResponse::default()
        .with_error_code(ResponseError::CoordinatorNotAvailable.code())
        .with_node_id(BrokerId(-1))
        .with_port(-1)
}
