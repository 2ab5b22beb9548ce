//! What is wrong with what the nodes are told, before any of them is started.

use super::knowledge::{READ_VARIABLES, not_read};
use super::layout::{Declared, port_of};
use crate::diagnosis::LikelyCause;
use crate::doctor::{Finding, Severity};
use std::collections::{BTreeMap, BTreeSet};

/// Looks at every node by itself and then at all of them together.
#[must_use]
pub fn cross_check(nodes: &[Declared]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in nodes {
        variables(node, &mut findings);
        peers_variable(node, &mut findings);
        file(node, nodes.len(), &mut findings);
    }
    numbers(nodes, &mut findings);
    peers_lists(nodes, &mut findings);
    ports(nodes, &mut findings);
    folders(nodes, &mut findings);
    findings
}

fn error(rule: &str, text: String, fix: impl Into<String>) -> Finding {
    Finding::new(Severity::Error, LikelyCause::known(rule, text, fix))
}

fn warning(rule: &str, text: String, fix: impl Into<String>) -> Finding {
    Finding::new(Severity::Warning, LikelyCause::known(rule, text, fix))
}

/// Variables that the server does not read.
fn variables(node: &Declared, findings: &mut Vec<Finding>) {
    for name in node.env.keys().filter(|name| name.starts_with("CHRONIK_")) {
        if READ_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let (near, fix) = not_read(name);
        let near = near.map(|near| format!("; the nearest that it reads is {near}"));
        let text = format!(
            "node {}: the server does not read the variable {name}{}",
            node.node,
            near.unwrap_or_default()
        );
        findings.push(error("unread-variable", text, fix));
    }
}

/// The list of peers in a variable: `host:kafka:wal:raft,…`, the n-th entry being node n.
fn peers_variable(node: &Declared, findings: &mut Vec<Finding>) {
    let Some(entries) = node.peers_variable() else { return };
    if let Some(entry) = entries.iter().find(|entry| entry.len() != 4) {
        let what = match entry.len() {
            3 => "three fields, as older versions read it (host:kafka:raft)",
            2 => "no Raft port",
            _ => "not four fields",
        };
        let text = format!(
            "node {}: the peers entry {:?} has {what}; the server wants host:kafka:wal:raft, swallows the error and \
             starts alone on port 9092",
            node.node,
            entry.join(":")
        );
        let fix = "write a file for each node with [bind] and [[peers]] and start it with `start --config FILE`";
        findings.push(error("peers-entry", text, fix));
    } else if node.path.is_none() {
        let text = format!(
            "node {}: its cluster is given by variables alone, which leave its WAL address unset",
            node.node
        );
        let fix = "write a file for each node with [bind] and [[peers]] and start it with `start --config FILE`";
        findings.push(error("wal-address-missing", text, fix));
    }
    if node.own_id().is_none() {
        let text = format!("node {}: CHRONIK_NODE_ID is not set, so it starts alone", node.node);
        findings.push(error("node-id-missing", text, "set CHRONIK_NODE_ID to a number of its own"));
    }
}

/// The configuration file of one node.
fn file(node: &Declared, cluster: usize, findings: &mut Vec<Finding>) {
    let Some(parsed) = &node.file else {
        let alone = node.peers_variable().is_none() && cluster > 1;
        if alone && node.args.iter().any(|arg| arg == "start") {
            let text = format!(
                "node {}: neither a configuration file nor a peers list is given, so it starts alone",
                node.node
            );
            findings.push(error(
                "silently-single-node",
                text,
                "add `--config FILE` with [[peers]]",
            ));
        }
        return;
    };
    let shown = node.path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let config = match parsed {
        Ok(config) => config,
        Err(why) => {
            let text = format!("node {}: {shown} cannot be used: {why}", node.node);
            findings.push(error("file-unusable", text, "correct the file that is named"));
            return;
        }
    };
    if node.own_id().is_none() {
        let text = format!("node {}: {shown} has no node_id", node.node);
        findings.push(error("node-id-missing", text, "add `node_id = N`, another for each node"));
    }
    if config.data_dir.is_none() {
        let text = format!("node {}: {shown} has no data_dir, which is required", node.node);
        findings.push(error("field-missing", text, "add `data_dir = \"/some/folder\"`"));
    }
    let mut seen = BTreeSet::new();
    for peer in &config.peers {
        if !seen.insert(peer.id) {
            let text = format!("node {}: the id {} is twice in its peers list", node.node, peer.id);
            findings.push(error(
                "duplicate-id",
                text,
                "give each [[peers]] entry an id of its own",
            ));
        }
        for (name, address) in peer.at.named() {
            if port_of(address).is_none() {
                let text = format!(
                    "node {}: the {name} address {address:?} of peer {} has no port",
                    node.node, peer.id
                );
                findings.push(error("address-without-port", text, "write it as host:port"));
            }
        }
    }
    if let Some(own) = node.own_id()
        && !seen.contains(&own)
    {
        let text = format!("node {}: its id {own} is not in its own peers list", node.node);
        let fix = "list every node in [[peers]], the node itself included";
        findings.push(error("own-entry-missing", text, fix));
    }
    if config.replication_factor.is_some_and(|factor| factor > config.peers.len() as u64) {
        let text = format!(
            "node {}: replication_factor is greater than the {} peers",
            node.node,
            config.peers.len()
        );
        findings.push(error("replication-factor", text, "lower it, or list more peers"));
    }
}

/// Two nodes with one number.
fn numbers(nodes: &[Declared], findings: &mut Vec<Finding>) {
    let mut by_id: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for node in nodes {
        if let Some(id) = node.own_id() {
            by_id.entry(id).or_default().push(node.node.to_string());
        }
    }
    for (id, holders) in by_id.into_iter().filter(|(_, holders)| holders.len() > 1) {
        let text = format!("nodes {} all have the id {id}", holders.join(" and "));
        findings.push(error("two-nodes-one-id", text, "give each node a node_id of its own"));
    }
}

/// Peers lists that differ, or that differ from where the peer itself listens.
fn peers_lists(nodes: &[Declared], findings: &mut Vec<Finding>) {
    for node in nodes {
        let Some(config) = node.config() else { continue };
        for peer in &config.peers {
            let Some(other) = nodes.iter().find(|other| other.own_id() == Some(peer.id)) else {
                continue;
            };
            let Some(told) = other.config() else { continue };
            let advertised = told.advertise.clone().unwrap_or_else(|| other.addresses());
            for ((name, here), (_, there)) in peer.at.named().into_iter().zip(advertised.named()) {
                if port_of(here).is_some() && port_of(here) != port_of(there) {
                    let text = format!(
                        "node {} looks for node {}'s {name} port at {here}, and that node has it at {there}",
                        node.node, other.node
                    );
                    let fix =
                        format!("write {there} into that entry of node {}'s peers", node.node);
                    findings.push(error("peer-wrong-port", text, fix));
                }
            }
        }
        let ids: BTreeSet<_> = config.peers.iter().map(|peer| peer.id).collect();
        for other in nodes.iter().filter_map(Declared::own_id).filter(|id| !ids.contains(id)) {
            if Some(other) == node.own_id() {
                continue;
            }
            let text = format!("node {}: its peers list lacks node {other}", node.node);
            findings.push(error("peer-missing", text, "give all nodes the same peers list"));
        }
    }
}

/// One port for two purposes, and neighbours that servers which count upwards collide on.
fn ports(nodes: &[Declared], findings: &mut Vec<Finding>) {
    let mut uses: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let mut kafka = Vec::new();
    for node in nodes {
        let addresses = node.addresses();
        for (name, address) in addresses.named() {
            if let Some(port) = port_of(address) {
                uses.entry(port).or_default().push(format!("node {}'s {name} port", node.node));
            }
        }
        kafka.extend(port_of(&addresses.kafka));
        if let Some(id) = node.own_id().and_then(|id| u16::try_from(id).ok()) {
            for (name, base) in super::layout::FIXED {
                let what = format!("node {}'s {name} port (which follows from its id)", node.node);
                uses.entry(base.saturating_add(id)).or_default().push(what);
            }
        }
    }
    for (port, users) in uses.into_iter().filter(|(_, users)| users.len() > 1) {
        let text = format!("port {port} is {}", users.join(" and "));
        let fix = "leave a gap of at least 10 between the nodes' ports";
        findings.push(error("port-collision", text, fix));
    }
    kafka.sort_unstable();
    let no_file = nodes.iter().all(|node| node.path.is_none());
    if no_file && kafka.windows(2).any(|pair| pair[1] == pair[0] + 1) {
        let text = "the nodes' Kafka ports are neighbours, and a server that takes the next port for another purpose \
                    collides with the next node"
            .to_owned();
        findings.push(warning("adjacent-ports", text, "leave a gap of at least 10 between them"));
    }
}

/// Two nodes with one data folder.
fn folders(nodes: &[Declared], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for node in nodes {
        let Some(dir) = node.config().and_then(|config| config.data_dir.as_deref()) else {
            continue;
        };
        if let Some(first) = seen.insert(dir, node.node.to_string()) {
            let text = format!("nodes {first} and {} share the data folder {dir}", node.node);
            findings.push(error("shared-data-folder", text, "give each node a folder of its own"));
        }
    }
}
