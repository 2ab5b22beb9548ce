//! What chronik-server's variables, log lines and failures mean.

use super::layout::FIXED;
use crate::diagnosis::{LikelyCause, Symptoms};
use crate::doctor::{Finding, Severity};
use crate::node::NodeId;
use crate::procfs::port_owners;
use std::collections::BTreeSet;

/// The environment variables that version 2.10.4 reads.
pub(super) const READ_VARIABLES: [&str; 62] = [
    "CHRONIK_ACL_ALLOW_IF_NO_ACL",
    "CHRONIK_ACL_ENABLED",
    "CHRONIK_ACL_SUPER_USERS",
    "CHRONIK_ADMIN_API_KEY",
    "CHRONIK_ADMIN_TLS_CERT",
    "CHRONIK_ADMIN_TLS_KEY",
    "CHRONIK_ADVERTISE",
    "CHRONIK_BIND",
    "CHRONIK_CLIENT_READ_TIMEOUT_SECS",
    "CHRONIK_CLIENT_REQUEST_TIMEOUT_SECS",
    "CHRONIK_CLIENT_WRITE_TIMEOUT_SECS",
    "CHRONIK_CLUSTER_ENABLED",
    "CHRONIK_CLUSTER_PEERS",
    "CHRONIK_CONFIG",
    "CHRONIK_DATA_DIR",
    "CHRONIK_DEFAULT_COLUMNAR",
    "CHRONIK_DEFAULT_SEARCHABLE",
    "CHRONIK_DEFAULT_VECTOR_ENABLED",
    "CHRONIK_DISABLE_HOT_TEXT",
    "CHRONIK_DISK_FAIL_ON_TIMEOUT",
    "CHRONIK_DISK_SYNC_TIMEOUT_SECS",
    "CHRONIK_DISK_WRITE_TIMEOUT_SECS",
    "CHRONIK_FETCH_FOLLOWER_MAX_WAIT_MS",
    "CHRONIK_FETCH_FROM_FOLLOWERS",
    "CHRONIK_HOT_BUFFER_ENABLED",
    "CHRONIK_HOT_BUFFER_MAX_RECORDS",
    "CHRONIK_HOT_BUFFER_REFRESH_MS",
    "CHRONIK_HOT_TEXT_ENABLED",
    "CHRONIK_HOT_VECTOR_ENABLED",
    "CHRONIK_KAFKA_PORT",
    "CHRONIK_LEADERSHIP_CACHE_TTL_SECS",
    "CHRONIK_METADATA_EVENT_BUFFER",
    "CHRONIK_METADATA_REBROADCAST_SECS",
    "CHRONIK_METADATA_WAL_PROFILE",
    "CHRONIK_MIN_INSYNC_REPLICAS",
    "CHRONIK_NETWORK_CONNECT_TIMEOUT_SECS",
    "CHRONIK_NETWORK_FRAME_TIMEOUT_SECS",
    "CHRONIK_NETWORK_READ_TIMEOUT_SECS",
    "CHRONIK_NETWORK_WRITE_TIMEOUT_SECS",
    "CHRONIK_NODE_ID",
    "CHRONIK_PRODUCE_PROFILE",
    "CHRONIK_QUERY_TIMEOUT_SECS",
    "CHRONIK_RAFT_APPLY_TIMEOUT_SECS",
    "CHRONIK_RAFT_LOCK_TIMEOUT_SECS",
    "CHRONIK_RAFT_PROPOSAL_TIMEOUT_SECS",
    "CHRONIK_REPLICATION_FACTOR",
    "CHRONIK_REPLICATION_FOLLOWERS",
    "CHRONIK_REPLICA_CACHE_TTL_SECS",
    "CHRONIK_SASL_NO_DEFAULTS",
    "CHRONIK_SASL_USERS",
    "CHRONIK_SCHEMA_REGISTRY_ENABLED",
    "CHRONIK_SCHEMA_REGISTRY_PORT",
    "CHRONIK_TLS_CA_CERT",
    "CHRONIK_TLS_CERT",
    "CHRONIK_TLS_KEY",
    "CHRONIK_TLS_REQUIRE_CLIENT_CERT",
    "CHRONIK_UNIFIED_API_BIND",
    "CHRONIK_UNIFIED_API_PORT",
    "CHRONIK_WAL_PROFILE",
    "CHRONIK_WAL_RECEIVER_ADDR",
    "CHRONIK_WAL_RECEIVER_PORT",
    "CHRONIK_WAL_ROTATION_SIZE",
];

/// The nearest variable that is read, if any is near, and what to do instead of setting one that is not.
pub(super) fn not_read(name: &str) -> (Option<&'static str>, String) {
    if name == "CHRONIK_RAFT_PORT" || name == "CHRONIK_RAFT_ADDR" {
        let fix = "put the Raft port into the node's entry of the peers list, `raft = \"host:port\"` in its file";
        return (nearest(name), fix.to_owned());
    }
    let near = nearest(name);
    let fix = match near {
        Some(near) => format!("unset it, or set {near} if that was meant"),
        None => "unset it".to_owned(),
    };
    (near, fix)
}

fn nearest(name: &str) -> Option<&'static str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(known, name);
    let near = READ_VARIABLES.into_iter().min_by_key(distance)?;
    (strsim::damerau_levenshtein(near, name) * 3 <= name.len()).then_some(near)
}

/// The milestones of a node's life.
pub(super) fn milestone(line: &str) -> Option<&'static str> {
    const LINES: [(&str, &str); 10] = [
        ("Leader change detected:", "raft-leader-changed"),
        ("Raft leader elected:", "raft-leader-known"),
        ("Became cluster leader", "raft-leader"),
        ("became leader at term", "raft-leader"),
        ("became follower at term", "raft-follower"),
        ("became candidate at term", "raft-candidate"),
        ("became pre-candidate at term", "raft-candidate"),
        ("starting a new election", "raft-election"),
        ("broker registration complete", "registered"),
        ("Starting in SINGLE-NODE mode", "single-node"),
    ];
    LINES.iter().find(|(phrase, _)| line.contains(phrase)).map(|(_, what)| *what)
}

/// What is between the first two single quotes of a line.
fn quoted(line: &str) -> &str {
    line.split('\'').nth(1).unwrap_or("an argument")
}

const START: &str = "write a file for each node with node_id, data_dir, [bind] and [[peers]] and start it with \
                     `start --config FILE --bind ADDRESS`";

/// The cause that a node's words and its end are known for. `cluster` is how many nodes there are to be.
pub(super) fn explain(symptoms: &Symptoms<'_>, cluster: usize) -> Option<LikelyCause> {
    if let Some(line) = symptoms.line("unrecognized subcommand") {
        let text = format!("this version of the server has no subcommand {:?}", quoted(line));
        return Some(LikelyCause::known("unknown-subcommand", text, START));
    }
    if let Some(line) = symptoms.line("unexpected argument") {
        let text = format!("this version of the server has no option {}", quoted(line));
        return Some(LikelyCause::known("unknown-option", text, START));
    }
    if symptoms.line("WAL bind address not configured").is_some() {
        let text = "the cluster is given by variables alone, which leave the WAL address unset";
        return Some(LikelyCause::known("wal-address-missing", text, START));
    }
    if let Some(line) = symptoms.line("Duplicate node ID") {
        let id = line.rsplit(':').next().unwrap_or_default().trim();
        let text = format!("the id {id} is twice in the peers list");
        let fix = "give each [[peers]] entry an id of its own";
        return Some(LikelyCause::known("duplicate-id", text, fix));
    }
    if let Some(line) = symptoms.line("not found in peers list") {
        let text = format!("the node is not in its own peers list: {}", tail(line));
        let fix = "list every node in [[peers]], the node itself included";
        return Some(LikelyCause::known("own-entry-missing", text, fix));
    }
    if let Some(line) = symptoms.line("missing field") {
        let text = format!("the configuration file lacks a field: {}", tail(line));
        return Some(LikelyCause::known("field-missing", text, "add the field that is named"));
    }
    if cluster > 1 && symptoms.line("Starting in SINGLE-NODE mode").is_some() {
        let text = "the server took none of its cluster settings and runs alone on port 9092, which it does without a \
                    word when the peers variable has another form than host:kafka:wal:raft or the node id is missing";
        return Some(LikelyCause::known("silently-single-node", text, START));
    }
    fixed_port(symptoms).or_else(|| alone(symptoms))
}

/// A port that follows from the node's number is another process's: a second process has this number.
fn fixed_port(symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
    let taken = symptoms.exit.is_some() && symptoms.line("address already in use").is_some();
    if !taken {
        return None;
    }
    let number = u16::try_from(symptoms.node.0).ok()?;
    let (name, port, owner) = FIXED.iter().find_map(|(name, base)| {
        let port = base + number;
        Some((*name, port, port_owners(port).into_iter().next()?))
    })?;
    let rule =
        if owner.name.starts_with("chronik") { "two-processes-one-id" } else { "port-taken" };
    let text = format!(
        "the {name} port {port}, which follows from the id {number}, is held by {owner}: no second process of this id \
         can run on this host"
    );
    let fix = format!(
        "end process {}, or give the node another node_id; two clusters need a network namespace each",
        owner.process.pid
    );
    Some(LikelyCause::known(rule, text, fix))
}

/// A node that holds elections for ever: it reaches no other.
fn alone(symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
    let elections =
        symptoms.log.iter().filter(|line| line.contains("starting a new election")).count();
    let lonely = symptoms.brokers.is_none_or(|brokers| brokers.len() < 2);
    (symptoms.exit.is_none() && elections >= 2 && lonely).then(|| {
        let text = "the node alone has no quorum: it holds one election after the other and prints its ready lines \
                    all the same";
        let fix = "start the other nodes, and compare the raft addresses of all peers lists";
        LikelyCause::known("no-quorum", text, fix)
    })
}

fn tail(line: &str) -> &str {
    line.rsplit("ERROR").next().unwrap_or(line).trim()
}

/// What a running node complains of.
pub(super) fn complaints(node: NodeId, log: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut peers = BTreeSet::new();
    let mut tell = |rule: &str, text: String, fix: &str| {
        let cause = LikelyCause::known(rule, format!("node {node}: {text}"), fix);
        let known = findings.iter().any(|f: &Finding| f.cause == cause);
        if !known {
            findings.push(Finding::new(Severity::Warning, cause));
        }
    };
    let mut lost: Vec<&str> = Vec::new();
    for line in log {
        if let Some(rest) = line.split("MESSAGE LOST").next().filter(|rest| *rest != line) {
            lost.extend(rest.split("to peer ").nth(1).and_then(|rest| rest.split(' ').next()));
        }
        if line.contains("Failed to pre-warm connection to peer ") {
            let peer = line.split("to peer ").nth(1).and_then(|rest| rest.split(' ').next());
            peers.extend(peer);
        }
        if line.contains("Failed to bind WAL receiver") {
            let fix = "free that port or choose another; until then this node gets no records";
            tell("wal-port-taken", "it runs without its WAL port, which is taken".to_owned(), fix);
        }
        if line.contains("Raft gRPC server error") {
            let fix = "free that port or choose another; until then this node has no vote";
            let text = "it runs without its Raft port, although it says that the server started";
            tell("raft-port-taken", text.to_owned(), fix);
        }
    }
    for peer in &peers {
        let text = format!("it never reached the Raft address of peer {peer}");
        let fix = "give that peer's raft address as host:port, as the peer itself has it";
        tell("peer-raft-address", text, fix);
    }
    lost.sort_unstable();
    for group in lost.chunk_by(|a, b| a == b).filter(|group| group.len() >= 3) {
        let text = format!("it gave up {} Raft messages to peer {}", group.len(), group[0]);
        let fix = "compare that peer's raft address in this node's peers list with the peer's own";
        tell("peer-raft-port", text, fix);
    }
    findings
}
