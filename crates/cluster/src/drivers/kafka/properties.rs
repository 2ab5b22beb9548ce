//! The `server.properties` of one node.

use crate::driver::DriverError;
use crate::node::NodeId;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// The addresses of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) kafka: SocketAddr,
    pub(super) controller: SocketAddr,
}

/// What the driver decides itself.
const OWN: [&str; 8] = [
    "process.roles",
    "node.id",
    "controller.quorum.voters",
    "listeners",
    "advertised.listeners",
    "controller.listener.names",
    "inter.broker.listener.name",
    "log.dirs",
];

/// Refuses settings that are the driver's own, or that would put a secret into the run's folder.
///
/// # Errors
/// [`DriverError::Settings`], which names the setting.
pub(super) fn check(settings: &BTreeMap<String, String>) -> Result<(), DriverError> {
    for (key, value) in settings {
        if OWN.contains(&key.as_str()) {
            let text = format!("the setting {key} is the driver's own");
            return Err(DriverError::Settings(text));
        }
        if perjury_secrets::is_secret_name(key) {
            let text = format!(
                "the setting {key} holds a secret, which would end up in the run's folder; attach to a cluster that \
                 is configured elsewhere instead"
            );
            return Err(DriverError::Settings(text));
        }
        if value.contains('\n') || key.contains(['\n', '=', ' ']) {
            let text = format!("the setting {key:?} is not one line of a properties file");
            return Err(DriverError::Settings(text));
        }
    }
    Ok(())
}

/// The settings of `node` among `cluster`, in the order of their names; `settings` win over ours.
pub(super) fn of_node(
    node: NodeId,
    cluster: &[(NodeId, Addresses)],
    data_dir: &Path,
    settings: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let voters = |(id, at): &(NodeId, Addresses)| format!("{id}@{}", at.controller);
    let voters = cluster.iter().map(voters).collect::<Vec<_>>().join(",");
    let own = cluster.iter().find(|(id, _)| *id == node).map(|(_, at)| *at);
    let replicas = cluster.len().min(3).to_string();
    let in_sync = cluster.len().min(2).to_string();
    let mut all: BTreeMap<String, String> =
        TUNED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    set("node.id", node.to_string());
    set("controller.quorum.voters", voters);
    if let Some(own) = own {
        let (kafka, controller) = (own.kafka, own.controller);
        set("listeners", format!("PLAINTEXT://{kafka},CONTROLLER://{controller}"));
        set("advertised.listeners", format!("PLAINTEXT://{kafka}"));
    }
    set("log.dirs", data_dir.display().to_string());
    for key in [
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.replication.factor",
    ] {
        set(key, replicas.clone());
    }
    for key in [
        "min.insync.replicas",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.min.isr",
    ] {
        set(key, in_sync.clone());
    }
    all.extend(settings.iter().map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// A cluster that starts quickly, notices a dead node within seconds, and keeps little beside the topics under test.
const TUNED: [(&str, &str); 19] = [
    ("process.roles", "broker,controller"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ("auto.create.topics.enable", "false"),
    ("num.network.threads", "2"),
    ("num.io.threads", "2"),
    ("num.partitions", "1"),
    ("background.threads", "2"),
    ("log.cleaner.dedupe.buffer.size", "8388608"),
    ("offsets.topic.num.partitions", "3"),
    ("transaction.state.log.num.partitions", "3"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("broker.heartbeat.interval.ms", "1000"),
    ("broker.session.timeout.ms", "6000"),
    ("replica.lag.time.max.ms", "5000"),
    ("controller.quorum.election.timeout.ms", "1000"),
    ("controller.quorum.fetch.timeout.ms", "2000"),
];

/// The settings as a properties file. A backslash begins an escape in such a file.
pub(super) fn text(settings: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Vec<(NodeId, Addresses)> {
        let at = |port: u16| ([127, 0, 0, 1], port).into();
        let node = |id: u16| {
            let addresses = Addresses { kafka: at(9000 + id), controller: at(9100 + id) };
            (NodeId(i32::from(id)), addresses)
        };
        (1..=3).map(node).collect()
    }

    #[test]
    fn a_node_lists_all_voters_and_listens_on_its_own_addresses() {
        let set = BTreeMap::from([("min.insync.replicas".to_owned(), "1".to_owned())]);
        let all = of_node(NodeId(2), &cluster(), Path::new("/data"), &set);
        let voters = "1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103";
        assert_eq!(all["controller.quorum.voters"], voters);
        assert_eq!(all["listeners"], "PLAINTEXT://127.0.0.1:9002,CONTROLLER://127.0.0.1:9102");
        assert_eq!(all["default.replication.factor"], "3");
        assert_eq!(all["min.insync.replicas"], "1", "what is asked for wins");
        assert!(text(&all).contains("\nnode.id=2\n"));
    }

    #[test]
    fn the_drivers_own_settings_and_secrets_are_refused_by_name() {
        for key in ["node.id", "listeners", "ssl.keystore.password", "sasl.jaas.config"] {
            let set = BTreeMap::from([(key.to_owned(), "x".to_owned())]);
            assert!(check(&set).unwrap_err().to_string().contains(key));
        }
        let set = BTreeMap::from([("unclean.leader.election.enable".into(), "true".into())]);
        assert!(check(&set).is_ok());
    }
}
