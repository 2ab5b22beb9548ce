//! Changing messages on their way: addresses that would lead clients past the proxy, and what some
//! faults make of a message.

use super::frame::{Frame, RequestHead};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, DescribeClusterResponse, FetchResponse, FindCoordinatorResponse,
    MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Up to here responses name no other nodes: Produce v10 and Fetch v16 added endpoints (KIP-951).
const CAPS: [(i16, i16); 2] = [(ApiKey::Produce as i16, 9), (ApiKey::Fetch as i16, 15)];
/// Share groups answer with endpoints in every version, so that they are not offered.
const NOT_OFFERED: [i16; 2] = [ApiKey::ShareFetch as i16, ApiKey::ShareAcknowledge as i16];

/// Where clients have to be sent instead: node number → the proxy's address for it.
pub(super) type Detours = BTreeMap<i32, SocketAddr>;

/// A message that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{what} version {version}: {problem}")]
pub(super) struct RewriteError {
    what: &'static str,
    version: i16,
    problem: String,
}

/// Whether responses to this API may hold addresses or versions that have to be changed.
pub(super) fn concerns(api: i16) -> bool {
    [ApiKey::Metadata, ApiKey::FindCoordinator, ApiKey::DescribeCluster, ApiKey::ApiVersions]
        .iter()
        .any(|other| *other as i16 == api)
}

/// The response with the proxy's addresses; nothing when there is nothing to change.
pub(super) fn response(
    request: RequestHead,
    response: &Frame,
    detours: &Detours,
) -> Result<Option<Frame>, RewriteError> {
    match ApiKey::try_from(request.api) {
        Ok(ApiKey::Metadata) => edit::<MetadataResponse>("Metadata", request, response, |body| {
            let mut any = false;
            for broker in &mut body.brokers {
                any |= detour(detours, broker.node_id.0, &mut broker.host, &mut broker.port);
            }
            any
        }),
        Ok(ApiKey::FindCoordinator) => {
            edit::<FindCoordinatorResponse>("FindCoordinator", request, response, |body| {
                let mut any = detour(detours, body.node_id.0, &mut body.host, &mut body.port);
                for found in &mut body.coordinators {
                    any |= detour(detours, found.node_id.0, &mut found.host, &mut found.port);
                }
                any
            })
        }
        Ok(ApiKey::DescribeCluster) => {
            edit::<DescribeClusterResponse>("DescribeCluster", request, response, |body| {
                let mut any = false;
                for broker in &mut body.brokers {
                    any |= detour(detours, broker.broker_id.0, &mut broker.host, &mut broker.port);
                }
                any
            })
        }
        Ok(ApiKey::ApiVersions) => {
            edit::<ApiVersionsResponse>("ApiVersions", request, response, cap)
        }
        _ => Ok(None),
    }
}

fn detour(detours: &Detours, node: i32, host: &mut StrBytes, port: &mut i32) -> bool {
    // An empty host comes with an error: there is no coordinator.
    match detours.get(&node) {
        Some(address) if !host.is_empty() => {
            *host = StrBytes::from_string(address.ip().to_string());
            *port = i32::from(address.port());
            true
        }
        _ => false,
    }
}

fn cap(body: &mut ApiVersionsResponse) -> bool {
    let offered = body.api_keys.len();
    body.api_keys.retain(|api| !NOT_OFFERED.contains(&api.api_key));
    let mut any = body.api_keys.len() != offered;
    for api in &mut body.api_keys {
        let most = CAPS.iter().find(|(key, _)| *key == api.api_key).map(|(_, most)| *most);
        if let Some(most) = most.filter(|most| *most < api.max_version) {
            api.max_version = most.max(api.min_version);
            any = true;
        }
    }
    any
}

/// Decodes a response, and encodes it again when `change` says that it changed it.
fn edit<R: Decodable + Encodable + HeaderVersion>(
    what: &'static str,
    request: RequestHead,
    response: &Frame,
    change: impl FnOnce(&mut R) -> bool,
) -> Result<Option<Frame>, RewriteError> {
    let version = request.version;
    let failed = |problem: String| RewriteError { what, version, problem };
    let mut rest = response.message();
    let header = ResponseHeader::decode(&mut rest, R::header_version(version))
        .map_err(|error| failed(error.to_string()))?;
    let mut body = R::decode(&mut rest, version).map_err(|error| failed(error.to_string()))?;
    if !change(&mut body) {
        return Ok(None);
    }
    // Whatever followed the message keeps following it.
    encode(version, &header, &body, &rest).map(Some).map_err(failed)
}

fn encode<R: Encodable + HeaderVersion>(
    version: i16,
    header: &ResponseHeader,
    body: &R,
    rest: &Bytes,
) -> Result<Frame, String> {
    let mut message = BytesMut::new();
    header
        .encode(&mut message, R::header_version(version))
        .and_then(|()| body.encode(&mut message, version))
        .map_err(|error| error.to_string())?;
    message.extend_from_slice(rest);
    Ok(Frame::around(&message))
}

/// A Fetch response without any record.
pub(super) fn cut_fetch(request: RequestHead, response: &Frame) -> Result<Frame, RewriteError> {
    let cut = edit::<FetchResponse>("Fetch", request, response, |body| {
        let partitions = body.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        let mut any = false;
        for partition in partitions {
            any |= partition.records.as_ref().is_some_and(|records| !records.is_empty());
            partition.records = Some(Bytes::new());
        }
        any
    })?;
    Ok(cut.unwrap_or_else(|| response.clone()))
}

/// An answer to a Produce request that says that all is well, at unknown offsets; nothing when the
/// request wants no answer (`acks=0`).
pub(super) fn forge_produce(
    head: RequestHead,
    request: &Frame,
) -> Result<Option<Frame>, RewriteError> {
    let version = head.version;
    let failed = |problem: String| RewriteError { what: "Produce", version, problem };
    let mut rest = request.message();
    RequestHeader::decode(&mut rest, ProduceRequest::header_version(version))
        .map_err(|error| failed(error.to_string()))?;
    let body =
        ProduceRequest::decode(&mut rest, version).map_err(|error| failed(error.to_string()))?;
    if body.acks == 0 {
        return Ok(None);
    }
    let responses = body.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.into_iter().map(|partition| {
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
        });
        TopicProduceResponse::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_partition_responses(partitions.collect())
    });
    let answer = ProduceResponse::default().with_responses(responses.collect());
    let header = ResponseHeader::default().with_correlation_id(head.correlation);
    encode(version, &header, &answer, &Bytes::new()).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::api_versions_response::ApiVersion;
    use kafka_protocol::messages::metadata_response::MetadataResponseBroker;

    fn head(api: ApiKey, version: i16) -> RequestHead {
        RequestHead { api: api as i16, version, correlation: 7 }
    }

    fn framed<R: Encodable + HeaderVersion>(version: i16, body: &R) -> Frame {
        let header = ResponseHeader::default().with_correlation_id(7);
        encode(version, &header, body, &Bytes::new()).unwrap()
    }

    fn body<R: Decodable + HeaderVersion>(version: i16, frame: &Frame) -> R {
        let mut message = frame.message();
        ResponseHeader::decode(&mut message, R::header_version(version)).unwrap();
        R::decode(&mut message, version).unwrap()
    }

    #[test]
    fn known_brokers_get_the_proxy_s_address_in_every_version() {
        let detours = Detours::from([(1, "127.0.0.1:7001".parse().unwrap())]);
        for version in 0..=13 {
            let broker = |id: i32| {
                MetadataResponseBroker::default()
                    .with_node_id(BrokerId(id))
                    .with_host(StrBytes::from_static_str("broker"))
                    .with_port(9092)
            };
            let sent = framed(
                version,
                &MetadataResponse::default().with_brokers(vec![broker(1), broker(2)]),
            );
            let rewritten =
                response(head(ApiKey::Metadata, version), &sent, &detours).unwrap().unwrap();
            let got: MetadataResponse = body(version, &rewritten);
            let at = |i: usize| (got.brokers[i].host.to_string(), got.brokers[i].port);
            assert_eq!(at(0), ("127.0.0.1".to_owned(), 7001));
            assert_eq!(at(1), ("broker".to_owned(), 9092));
            assert_eq!(rewritten.correlation(), Some(7));
        }
    }

    #[test]
    fn coordinators_are_found_behind_the_proxy_and_missing_ones_stay_missing() {
        let detours = Detours::from([(1, "127.0.0.1:7001".parse().unwrap())]);
        let host = StrBytes::from_static_str("broker");
        let found = FindCoordinatorResponse::default().with_node_id(BrokerId(1)).with_host(host);
        let sent = framed(2, &found);
        let request = head(ApiKey::FindCoordinator, 2);
        let got: FindCoordinatorResponse =
            body(2, &response(request, &sent, &detours).unwrap().unwrap());
        assert_eq!(got.port, 7001);
        let none = FindCoordinatorResponse::default().with_node_id(BrokerId(-1));
        assert_eq!(response(request, &framed(2, &none), &detours).unwrap(), None);
    }

    #[test]
    fn versions_that_name_nodes_are_not_offered() {
        let api = |key: i16, max| ApiVersion::default().with_api_key(key).with_max_version(max);
        let offered = vec![api(0, 12), api(1, 17), api(3, 13), api(78, 1)];
        let sent = framed(3, &ApiVersionsResponse::default().with_api_keys(offered));
        let request = head(ApiKey::ApiVersions, 3);
        let rewritten = response(request, &sent, &Detours::new()).unwrap().unwrap();
        let got: ApiVersionsResponse = body(3, &rewritten);
        let most: Vec<_> = got.api_keys.iter().map(|a| (a.api_key, a.max_version)).collect();
        assert_eq!(most, [(0, 9), (1, 15), (3, 13)]);
        // What needs no change is not even encoded again.
        assert_eq!(response(request, &rewritten, &Detours::new()).unwrap(), None);
    }
}
