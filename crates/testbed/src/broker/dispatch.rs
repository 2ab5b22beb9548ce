//! Which requests are understood, in which versions, and who handles them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, decode_request_header_from_buffer,
};

use super::{
    Context, Pending, Reply, admin, fetch, groups, metadata, offsets, produce, topics, transactions,
};
use crate::wire::response_frame;

/// Every request with its lowest and highest version. Produce stays below 10 and Fetch below 13, so
/// that neither topic ids nor the node endpoints of KIP-951 appear in them. EndTxn stays below 5,
/// with which clients would leave it to the server to add partitions (KIP-890).
const SUPPORTED: [(ApiKey, i16, i16); 25] = [
    (ApiKey::Produce, 3, 9),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 8),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 5),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    // Version 4 is for brokers, which verify.
    (ApiKey::AddPartitionsToTxn, 0, 4),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::WriteTxnMarkers, 1, 1),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DescribeCluster, 0, 0),
];

/// How to answer one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) correlation_id: i32,
    pub(super) version: i16,
    /// Counts the connections of this node; a later one has a higher number.
    pub(super) connection: u64,
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
pub(super) async fn dispatch(
    context: &Arc<Context>,
    mut frame: Bytes,
    connection: u64,
) -> io::Result<Option<Pending>> {
    if frame.len() < 8 {
        return Err(io::Error::other("request without a header"));
    }
    let header = decode_request_header_from_buffer(&mut frame).map_err(io::Error::other)?;
    let version = header.request_api_version;
    let answer = Answer { correlation_id: header.correlation_id, version, connection };
    let offered = SUPPORTED.iter().find(|(key, ..)| *key as i16 == header.request_api_key);
    let Some((key, min, max)) = offered else { return Ok(None) };
    if version < *min || version > *max {
        // A client that is too new starts with ApiVersions and expects this answer in version 0.
        let old = Answer { version: 0, ..answer };
        let reply = old.with(&api_versions(ResponseError::UnsupportedVersion.code()));
        return Ok((*key == ApiKey::ApiVersions).then(|| now(reply)));
    }
    if *key == ApiKey::Produce {
        // Batches take effect in the order of their arrival, whatever they have to wait for.
        let request = decode(&mut frame, version)?;
        return Ok(Some(produce::handle(context, request, answer).await));
    }
    let context = Arc::clone(context);
    let pending = match key {
        ApiKey::FindCoordinator
        | ApiKey::JoinGroup
        | ApiKey::SyncGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch => group_request(*key, context, &mut frame, answer)?,
        ApiKey::InitProducerId
        | ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::TxnOffsetCommit
        | ApiKey::WriteTxnMarkers
        | ApiKey::EndTxn => transaction_request(*key, context, &mut frame, answer)?,
        key => other_request(*key, context, &mut frame, answer)?,
    };
    Ok(Some(pending))
}

fn group_request(
    key: ApiKey,
    context: Arc<Context>,
    body: &mut Bytes,
    answer: Answer,
) -> io::Result<Pending> {
    let version = answer.version;
    Ok(match key {
        ApiKey::JoinGroup => groups::join(context, decode(body, version)?, answer).boxed(),
        ApiKey::SyncGroup => groups::sync(context, decode(body, version)?, answer).boxed(),
        ApiKey::Heartbeat => groups::heartbeat(context, decode(body, version)?, answer).boxed(),
        ApiKey::LeaveGroup => groups::leave(context, decode(body, version)?, answer).boxed(),
        ApiKey::OffsetCommit => groups::commit(context, decode(body, version)?, answer).boxed(),
        ApiKey::OffsetFetch => {
            groups::fetch_offsets(context, decode(body, version)?, answer).boxed()
        }
        _ => groups::find_coordinator(context, decode(body, version)?, answer).boxed(),
    })
}

fn transaction_request(
    key: ApiKey,
    context: Arc<Context>,
    body: &mut Bytes,
    answer: Answer,
) -> io::Result<Pending> {
    let version = answer.version;
    Ok(match key {
        ApiKey::InitProducerId => {
            transactions::init_producer_id(context, decode(body, version)?, answer).boxed()
        }
        ApiKey::AddPartitionsToTxn => {
            transactions::add_partitions(context, decode(body, version)?, answer).boxed()
        }
        ApiKey::AddOffsetsToTxn => {
            transactions::add_offsets(context, decode(body, version)?, answer).boxed()
        }
        ApiKey::TxnOffsetCommit => {
            transactions::commit_offsets(context, decode(body, version)?, answer).boxed()
        }
        ApiKey::WriteTxnMarkers => {
            transactions::write_markers(context, decode(body, version)?, answer).boxed()
        }
        _ => transactions::end(context, decode(body, version)?, answer).boxed(),
    })
}

fn other_request(
    key: ApiKey,
    context: Arc<Context>,
    body: &mut Bytes,
    answer: Answer,
) -> io::Result<Pending> {
    let version = answer.version;
    Ok(match key {
        ApiKey::Fetch => fetch::handle(context, decode(body, version)?, answer).boxed(),
        ApiKey::ListOffsets => {
            now(offsets::list_offsets(&context, &decode(body, version)?, answer))
        }
        ApiKey::OffsetForLeaderEpoch => {
            now(offsets::offset_for_leader_epoch(&context, &decode(body, version)?, answer))
        }
        ApiKey::Metadata => now(metadata::handle(&context, &decode(body, version)?, answer)),
        ApiKey::CreateTopics => topics::create(context, decode(body, version)?, answer).boxed(),
        ApiKey::DeleteTopics => topics::delete(context, decode(body, version)?, answer).boxed(),
        ApiKey::CreatePartitions => {
            admin::create_partitions(context, decode(body, version)?, answer).boxed()
        }
        ApiKey::DeleteRecords => {
            admin::delete_records(context, decode(body, version)?, answer).boxed()
        }
        ApiKey::DescribeConfigs => {
            now(admin::describe_configs(&context, &decode(body, version)?, answer))
        }
        ApiKey::DescribeCluster => now(admin::describe_cluster(&context, answer)),
        _ => now(answer.with(&api_versions(0))),
    })
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
