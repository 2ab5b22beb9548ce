//! Clusters that commands of the user's own start and break: shell commands, or ssh to several machines.
//!
//! The nodes are described by a TOML file:
//!
//! ```toml
//! [commands]                       # for all nodes; {node} and {address} stand for the node's own
//! start  = "ssh broker-{node} systemctl start kafka"
//! kill   = "ssh broker-{node} 'kill -9 $(cat /run/kafka.pid)'"
//! pause  = "ssh broker-{node} 'kill -STOP $(cat /run/kafka.pid)'"
//! resume = "ssh broker-{node} 'kill -CONT $(cat /run/kafka.pid)'"
//!
//! [[node]]
//! id = 1
//! address = "broker-1:9092"
//! kill = "…"                       # one node's own, instead of the above
//! ```

use crate::driver::DriverError;
use crate::fault::FaultKind;
use crate::node::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The commands of a node, each a line for `sh -c`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Starts the node.
    pub start: Option<String>,
    /// Ends the node in order.
    pub stop: Option<String>,
    /// Ends the node at once.
    pub kill: Option<String>,
    /// Stops the node without ending it.
    pub pause: Option<String>,
    /// Lets a paused node go on.
    pub resume: Option<String>,
    /// Cuts the node off from the others.
    pub partition: Option<String>,
    /// Ends a partition.
    pub heal: Option<String>,
}

impl Commands {
    fn or(&self, general: &Self) -> Self {
        let first =
            |own: &Option<String>, all: &Option<String>| own.clone().or_else(|| all.clone());
        Self {
            start: first(&self.start, &general.start),
            stop: first(&self.stop, &general.stop),
            kill: first(&self.kill, &general.kill),
            pause: first(&self.pause, &general.pause),
            resume: first(&self.resume, &general.resume),
            partition: first(&self.partition, &general.partition),
            heal: first(&self.heal, &general.heal),
        }
    }

    /// The command for a fault, or what there is to write to have one.
    ///
    /// # Errors
    /// A reason that fits after "cannot inject …:".
    pub fn of(&self, fault: FaultKind) -> Result<&str, String> {
        let (name, command) = match fault {
            FaultKind::Start => ("start", &self.start),
            FaultKind::Stop => ("stop", &self.stop),
            FaultKind::Kill => ("kill", &self.kill),
            FaultKind::Pause => ("pause", &self.pause),
            FaultKind::Resume => ("resume", &self.resume),
            FaultKind::Restart => ("stop", &self.stop),
            FaultKind::Partition | FaultKind::Isolate => ("partition", &self.partition),
            other => return Err(format!("there is no command for {other} in a layout")),
        };
        let missing = || format!("the layout has no command `{name}` for it");
        command.as_deref().filter(|text| !text.trim().is_empty()).ok_or_else(missing)
    }
}

/// A node of a cluster that others started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForeignNode {
    /// Its number, which must be its Kafka broker id.
    pub id: NodeId,
    /// Where clients reach it: `host:port`.
    pub address: String,
    /// What can be done to it.
    #[serde(skip)]
    pub commands: Commands,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    id: i32,
    address: Option<String>,
    start: Option<String>,
    stop: Option<String>,
    kill: Option<String>,
    pause: Option<String>,
    resume: Option<String>,
    partition: Option<String>,
    heal: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    commands: Commands,
    #[serde(default, rename = "node")]
    nodes: Vec<NodeEntry>,
}

/// Commands for the nodes of a cluster, as a layout file gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLayout {
    general: Commands,
    nodes: BTreeMap<NodeId, (Option<String>, Commands)>,
}

impl CommandLayout {
    /// Reads a layout file.
    ///
    /// # Errors
    /// [`DriverError::Settings`], which names the file and what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, DriverError> {
        let failed = |why: String| {
            DriverError::Settings(format!("the layout {} cannot be used: {why}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let mut nodes = BTreeMap::new();
        for entry in file.nodes {
            let own = Commands {
                start: entry.start,
                stop: entry.stop,
                kill: entry.kill,
                pause: entry.pause,
                resume: entry.resume,
                partition: entry.partition,
                heal: entry.heal,
            };
            if nodes.insert(NodeId(entry.id), (entry.address, own.or(&file.commands))).is_some() {
                return Err(failed(format!("the node {} is in it twice", entry.id)));
            }
        }
        Ok(Self { general: file.commands, nodes })
    }

    /// The commands of a node.
    #[must_use]
    pub fn commands(&self, node: NodeId) -> Commands {
        self.nodes.get(&node).map_or_else(|| self.general.clone(), |(_, commands)| commands.clone())
    }

    /// The nodes with their addresses.
    ///
    /// # Errors
    /// [`DriverError::Settings`] when there is none, or one has no address.
    pub fn addressed(&self) -> Result<Vec<ForeignNode>, DriverError> {
        let node = |(id, (address, commands)): (&NodeId, &(Option<String>, Commands))| {
            let missing =
                || DriverError::Settings(format!("node {id} of the layout has no address"));
            let address = address.clone().ok_or_else(missing)?;
            Ok(ForeignNode { id: *id, address, commands: commands.clone() })
        };
        let nodes: Vec<_> = self.nodes.iter().map(node).collect::<Result<_, DriverError>>()?;
        if nodes.is_empty() {
            return Err(DriverError::Settings("the layout has no [[node]]".to_owned()));
        }
        Ok(nodes)
    }
}

/// Runs a node's command and gives what it printed, or why it failed.
///
/// # Errors
/// The command's end and its last words.
pub(super) async fn run(text: &str, node: &ForeignNode) -> Result<String, String> {
    let line = text.replace("{node}", &node.id.to_string()).replace("{address}", &node.address);
    let running =
        Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(COMMAND_LIMIT, running)
        .await
        .map_err(|_| format!("the command did not end within {} s", COMMAND_LIMIT.as_secs()))?
        .map_err(|error| format!("sh does not run: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let last = said.lines().last().unwrap_or("it printed nothing");
    Err(format!("the command failed ({}): {last}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CommandLayout, DriverError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("layout.toml");
        std::fs::write(&file, text).unwrap();
        CommandLayout::read(&file)
    }

    #[tokio::test]
    async fn a_nodes_own_command_wins_and_placeholders_are_filled() {
        let text = "[commands]\nkill = 'echo all {node}'\n[[node]]\nid = 1\naddress = 'h:1'\n\
                    [[node]]\nid = 2\naddress = 'h:2'\nkill = 'echo own {node} at {address}'\n";
        let nodes = read(text).unwrap().addressed().unwrap();
        let said = |node: &ForeignNode| node.commands.of(FaultKind::Kill).unwrap().to_owned();
        assert_eq!(run(&said(&nodes[0]), &nodes[0]).await.unwrap(), "all 1");
        assert_eq!(run(&said(&nodes[1]), &nodes[1]).await.unwrap(), "own 2 at h:2");
        let why = nodes[0].commands.of(FaultKind::Pause).unwrap_err();
        assert!(why.contains("`pause`"), "{why}");
        let why = run("echo gone >&2; exit 3", &nodes[0]).await.unwrap_err();
        assert!(why.contains("gone") && why.contains('3'), "{why}");
    }

    #[test]
    fn what_is_wrong_in_a_layout_is_named() {
        let error = read("[[node]]\nid = 1\naddress = 'h:1'\nkil = 'x'\n").unwrap_err();
        assert!(error.to_string().contains("kil"), "{error}");
        let error = read("[[node]]\nid = 1\n").unwrap().addressed().unwrap_err();
        assert!(error.to_string().contains("address"), "{error}");
    }
}
