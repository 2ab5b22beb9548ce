//! From what was seen of a failed start to the likely cause and what to change.

use crate::formation::FormationStep;
use crate::node::NodeId;
use crate::procfs::{ExitInfo, PortOwner};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a cluster did not form, as far as the evidence says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "cause")]
#[non_exhaustive]
pub enum LikelyCause {
    /// A port that the node needs belongs to another process.
    PortTaken {
        /// The port.
        port: u16,
        /// Who holds it, where that could be found out.
        owner: Option<PortOwner>,
    },
    /// The program is not there.
    ProgramMissing {
        /// Its path.
        path: String,
    },
    /// The program is there, but may not be run.
    ProgramNotExecutable {
        /// Its path.
        path: String,
    },
    /// The node refused its configuration or command line.
    ConfigRejected {
        /// The node's own words.
        text: String,
    },
    /// The node cannot use its data folder.
    DataDir {
        /// What is wrong with it.
        text: String,
    },
    /// The file system is nearly full.
    DiskFull {
        /// The folder.
        path: String,
        /// What is left for this user, in MiB.
        free_mib: u64,
        /// What is needed, in MiB.
        least_mib: u64,
    },
    /// The driver could not write its files or start its guard.
    Setup {
        /// The reason.
        text: String,
    },
    /// The process ended for a reason that its output does not tell plainly.
    Ended {
        /// Its last line that looks like an error, or just its last line.
        text: String,
    },
    /// The process runs but does not listen on its Kafka port.
    NotListening {
        /// The address that it should listen on.
        address: String,
    },
    /// The process accepts connections but does not answer.
    NotAnswering {
        /// What became of the question.
        text: String,
    },
    /// The node answers, but does not know all brokers.
    BrokersMissing {
        /// The brokers that its metadata lacks, ascending.
        missing: Vec<NodeId>,
    },
    /// The node answers, but knows no controller.
    NoController,
    /// A cause that this kind of cluster is known for.
    Known {
        /// A stable name for it, such as `silently-single-node`.
        rule: String,
        /// What is wrong.
        text: String,
        /// What to change.
        fix: String,
    },
    /// Nothing points to a cause.
    Unclear,
}

/// What is seen of a node that does not become ready, for a driver that knows its kind of cluster.
#[derive(Clone, Copy, Debug)]
pub struct Symptoms<'a> {
    /// The node.
    pub node: NodeId,
    /// How its process ended, if it did.
    pub exit: Option<ExitInfo>,
    /// The first step to readiness that it has not taken.
    pub waiting_for: FormationStep,
    /// Its last 200 log lines, oldest first.
    pub log: &'a [String],
    /// The brokers that its metadata lists, if it answers.
    pub brokers: Option<&'a [NodeId]>,
}

impl Symptoms<'_> {
    /// The last line that contains `phrase`, whatever the case of its letters.
    #[must_use]
    pub fn line(&self, phrase: &str) -> Option<&str> {
        let phrase = phrase.to_lowercase();
        let says = |line: &&String| line.to_lowercase().contains(&phrase);
        self.log.iter().rev().find(says).map(String::as_str)
    }
}

impl fmt::Display for LikelyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken { port, owner: Some(owner) } => {
                write!(f, "port {port} is held by {owner}")
            }
            Self::PortTaken { port, owner: None } => {
                write!(f, "port {port} was taken, by whom cannot be seen")
            }
            Self::ProgramMissing { path } => write!(f, "{path} does not exist"),
            Self::ProgramNotExecutable { path } => write!(f, "{path} is not executable"),
            Self::ConfigRejected { text } => {
                write!(f, "the node refuses its configuration: {text}")
            }
            Self::DataDir { text } => write!(f, "the data folder is not usable: {text}"),
            Self::DiskFull { path, free_mib, least_mib } => {
                write!(f, "{path} has {free_mib} MiB left, {least_mib} MiB are needed")
            }
            Self::Setup { text } => f.write_str(text),
            Self::Ended { text } if text.is_empty() => f.write_str("it ended without a word"),
            Self::Ended { text } => write!(f, "its last words: {text}"),
            Self::NotListening { address } => write!(f, "nothing listens at {address}"),
            Self::NotAnswering { text } => write!(f, "it does not answer: {text}"),
            Self::BrokersMissing { missing } => {
                let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
                write!(f, "its metadata lacks broker {}", missing.join(", "))
            }
            Self::NoController => f.write_str("its metadata names no controller"),
            Self::Known { text, .. } => f.write_str(text),
            Self::Unclear => f.write_str("no cause was found"),
        }
    }
}

impl LikelyCause {
    /// A cause that a kind of cluster is known for.
    #[must_use]
    pub fn known(rule: &str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Known { rule: rule.to_owned(), text: text.into(), fix: fix.into() }
    }

    /// What to change, as a sentence fragment.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::PortTaken { owner: Some(owner), port } => {
                format!(
                    "end process {}, or give the node another port than {port}",
                    owner.process.pid
                )
            }
            Self::PortTaken { owner: None, port } => {
                format!(
                    "find the holder with `ss -tanp 'sport = :{port}'` as root, or use another port"
                )
            }
            Self::ProgramMissing { .. } => "give the path of an existing program".to_owned(),
            Self::ProgramNotExecutable { path } => format!("chmod +x {path}"),
            Self::ConfigRejected { .. } => {
                "change the setting that the message names; the file is in the node's folder"
                    .to_owned()
            }
            Self::DataDir { .. } => "give a folder that this user can write to".to_owned(),
            Self::DiskFull { .. } => "free some space, or use a folder on another disk".to_owned(),
            Self::Setup { .. } => "see the message".to_owned(),
            Self::Ended { .. } => "see the node's stderr.log and stdout.log".to_owned(),
            Self::NotListening { .. } => {
                "compare the address with the ports that the node's log names".to_owned()
            }
            Self::NotAnswering { .. } => {
                "see whether the node's log shows it busy or waiting for its peers".to_owned()
            }
            Self::BrokersMissing { .. } => {
                "see the missing nodes' logs, and compare the peers lists of all nodes".to_owned()
            }
            Self::NoController => {
                "see whether a majority of the nodes reach each other on their Raft ports"
                    .to_owned()
            }
            Self::Known { fix, .. } => fix.clone(),
            Self::Unclear => "see the logs of all nodes".to_owned(),
        }
    }
}

/// A port of a node and the other processes that listen on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortEvidence {
    /// The port.
    pub port: u16,
    /// Whether anything listens there that is not the node itself.
    pub taken: bool,
    /// Who, where that could be found out.
    pub owner: Option<PortOwner>,
}

/// Phrases by which servers say that a port is taken. `os error 98` is EADDRINUSE on Linux.
const PORT_PHRASES: [&str; 3] = ["address already in use", "address in use", "os error 98"];
/// Phrases about the data folder.
const DATA_PHRASES: [&str; 5] = [
    "permission denied",
    "read-only file system",
    "no space left on device",
    "locked by another process",
    "data directory",
];
/// Phrases about settings and command lines.
const CONFIG_PHRASES: [&str; 10] = [
    "config",
    "unknown field",
    "missing field",
    "unrecognized",
    "unexpected argument",
    "invalid value",
    "duplicate node",
    "required arguments",
    "usage:",
    "unknown option",
];

/// The likely cause of a process's early end, from its last lines and the state of its ports.
#[must_use]
pub fn explain_exit(exit: ExitInfo, tail: &[String], ports: &[PortEvidence]) -> LikelyCause {
    let says = |phrases: &[&str]| {
        tail.iter().rev().find(|line| {
            let line = line.to_lowercase();
            phrases.iter().any(|phrase| line.contains(phrase))
        })
    };
    if let Some(line) = says(&PORT_PHRASES) {
        let named = ports.iter().find(|evidence| names_port(line, evidence.port));
        if let Some(evidence) = named.or_else(|| ports.iter().find(|evidence| evidence.taken)) {
            let owner = evidence.owner.clone();
            return LikelyCause::PortTaken { port: evidence.port, owner };
        }
    }
    if let Some(evidence) = ports.iter().find(|evidence| evidence.taken) {
        let owner = evidence.owner.clone();
        return LikelyCause::PortTaken { port: evidence.port, owner };
    }
    if let Some(line) = says(&DATA_PHRASES) {
        return LikelyCause::DataDir { text: line.clone() };
    }
    // A process that a signal ended did not get to refuse anything.
    if exit.code.is_some()
        && let Some(line) = says(&CONFIG_PHRASES)
    {
        return LikelyCause::ConfigRejected { text: line.clone() };
    }
    let complaint = says(&["error", "panicked", "fatal"]);
    let text = complaint.or(tail.last()).cloned().unwrap_or_default();
    LikelyCause::Ended { text }
}

fn names_port(line: &str, port: u16) -> bool {
    line.split(|c: char| !c.is_ascii_digit()).any(|number| number == port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::ProcessIdentity;

    const FAILED: ExitInfo = ExitInfo { code: Some(1), signal: None, at_ns: 0 };

    fn evidence(port: u16, taken: bool) -> PortEvidence {
        let process = ProcessIdentity { pid: 77, start_ticks: 5 };
        let owner = taken.then(|| PortOwner { process, name: "java".into(), executable: None });
        PortEvidence { port, taken, owner }
    }

    fn explain(tail: &[&str], ports: &[PortEvidence]) -> LikelyCause {
        let tail: Vec<_> = tail.iter().map(ToString::to_string).collect();
        explain_exit(FAILED, &tail, ports)
    }

    #[test]
    fn a_taken_port_is_named_with_its_holder() {
        let ports = [evidence(9092, true), evidence(9093, true)];
        let tail =
            ["INFO starting", "Error: cannot listen on 127.0.0.1:9093: Address already in use"];
        let cause = explain(&tail, &ports);
        assert_eq!(cause, LikelyCause::PortTaken { port: 9093, owner: ports[1].owner.clone() });
        assert_eq!(cause.to_string(), "port 9093 is held by pid 77 (java)");
        assert!(cause.fix().contains("end process 77"));
        // The holder may have gone since; the line still names the port.
        let gone = explain(&tail, &[evidence(9092, false), evidence(9093, false)]);
        assert_eq!(gone, LikelyCause::PortTaken { port: 9093, owner: None });
    }

    #[test]
    fn a_port_that_another_process_holds_is_the_cause_even_if_the_node_does_not_say_so() {
        let cause = explain(&["INFO ready"], &[evidence(9092, true)]);
        assert!(matches!(cause, LikelyCause::PortTaken { port: 9092, .. }));
    }

    #[test]
    fn the_nodes_own_words_tell_configuration_data_and_the_rest_apart() {
        let free = [evidence(9092, false)];
        let cases = [
            ("error: unrecognized subcommand 'standalone'", "config-rejected"),
            ("error: unexpected argument '--kafka-port' found", "config-rejected"),
            ("configuration field `node_id`: must be listed in peers", "config-rejected"),
            ("data directory /x is locked by another process", "data-dir"),
            ("cannot open log: Permission denied (os error 13)", "data-dir"),
            ("thread 'main' panicked at src/x.rs:1:2", "ended"),
            ("bye", "ended"),
        ];
        for (line, expected) in cases {
            let cause = serde_json::to_value(explain(&["INFO start", line], &free)).unwrap();
            assert_eq!(cause["cause"], expected, "{line}");
            assert_eq!(cause["text"], line);
        }
        assert_eq!(explain(&[], &free).to_string(), "it ended without a word");
    }
}
