//! The faults of a plan: what is done, and to whom by role.

use perjury_cluster::{FaultKind as Kind, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a fault of the plan does. Its form in plans and histories is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum FaultKind {
    /// SIGKILL, and a restart after the fault's duration.
    Kill,
    /// SIGSTOP, and SIGCONT after the fault's duration.
    Pause,
    /// Nothing is done: the fault that must never count as witnessed.
    Noop,
    /// SIGKILL of every node at once, whatever the target is.
    KillAll,
    /// Every node is stopped and started, one after the other.
    RollingRestart,
    /// The leader of the fault's topic-partition and the other nodes no longer hear each other;
    /// clients reach both sides.
    IsolateLeader,
    /// Another fault of the cluster, by its name there.
    Other(Kind),
}

impl FaultKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::Kill => "kill",
            FaultKind::Pause => "pause",
            FaultKind::Noop => "noop",
            FaultKind::KillAll => "kill-all",
            FaultKind::RollingRestart => "rolling-restart",
            FaultKind::IsolateLeader => "isolate-leader",
            FaultKind::Other(kind) => kind.as_str(),
        }
    }

    /// What is done to the cluster; nothing for [`FaultKind::Noop`].
    pub fn kind(self) -> Option<Kind> {
        match self {
            FaultKind::Kill | FaultKind::KillAll => Some(Kind::Kill),
            FaultKind::Pause => Some(Kind::Pause),
            FaultKind::Noop => None,
            FaultKind::RollingRestart => Some(Kind::Restart),
            FaultKind::IsolateLeader => Some(Kind::Partition),
            FaultKind::Other(kind) => Some(kind),
        }
    }

    /// Whom it hits, where a plan aims at `target`.
    pub fn aim(self, target: Target) -> Target {
        match self {
            FaultKind::KillAll | FaultKind::RollingRestart => Target::All,
            FaultKind::IsolateLeader => Target::Leader,
            _ => target,
        }
    }
}

impl From<FaultKind> for String {
    fn from(kind: FaultKind) -> String {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for FaultKind {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for FaultKind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let own = [
            FaultKind::Kill,
            FaultKind::Pause,
            FaultKind::Noop,
            FaultKind::KillAll,
            FaultKind::RollingRestart,
            FaultKind::IsolateLeader,
        ];
        if let Some(kind) = own.into_iter().find(|kind| kind.as_str() == s) {
            return Ok(kind);
        }
        match s {
            // The usual words for two of the cluster's kinds.
            "one-way" => Ok(FaultKind::Other(Kind::OneWayIn)),
            "power-loss" => Ok(FaultKind::Other(Kind::LoseTail)),
            _ => s.parse().map(FaultKind::Other).map_err(|_: String| {
                let mut names: Vec<&str> = own.iter().map(|kind| kind.as_str()).collect();
                let others = Kind::BREAKING.iter().map(|kind| kind.as_str());
                names.extend(others.filter(|other| !["kill", "pause"].contains(other)));
                format!("there is no nemesis {s:?}; the nemeses are: {}, none", names.join(", "))
            }),
        }
    }
}

/// Which nodes a fault hits, by their role at that moment. Its form in plans and histories is its
/// name, such as `leader` or `node:2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// The leader of the fault's topic-partition.
    Leader,
    /// A follower of the fault's topic-partition.
    Follower,
    /// Every follower of the fault's topic-partition.
    Followers,
    /// Every node.
    All,
    /// The controller.
    Controller,
    /// A coordinator of groups or transactions.
    Coordinator,
    /// Any node.
    Random,
    /// This node.
    Node(NodeId),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Leader => f.write_str("leader"),
            Target::Follower => f.write_str("follower"),
            Target::Followers => f.write_str("followers"),
            Target::All => f.write_str("all"),
            Target::Controller => f.write_str("controller"),
            Target::Coordinator => f.write_str("coordinator"),
            Target::Random => f.write_str("random"),
            Target::Node(node) => write!(f, "node:{node}"),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if let Some(node) = s.strip_prefix("node:").and_then(|node| node.parse().ok()) {
            return Ok(Target::Node(NodeId(node)));
        }
        match s {
            "leader" => Ok(Target::Leader),
            "follower" => Ok(Target::Follower),
            "followers" => Ok(Target::Followers),
            "all" => Ok(Target::All),
            "controller" => Ok(Target::Controller),
            "coordinator" => Ok(Target::Coordinator),
            "random" => Ok(Target::Random),
            other => Err(format!(
                "there is no target {other:?}; the targets are: leader, follower, followers, \
                 controller, coordinator, random, all and node:NUMBER"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_their_json_form_and_unknown_ones_are_told_what_exists() {
        let names = ["kill", "noop", "kill-all", "isolate-leader", "one-way-in", "disk-full"];
        for name in names {
            let kind: FaultKind = name.parse().unwrap();
            assert_eq!(kind.as_str(), name);
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            assert_eq!(serde_json::from_value::<FaultKind>(name.into()).unwrap(), kind);
        }
        for name in ["leader", "followers", "controller", "coordinator", "random", "all", "node:2"]
        {
            let target: Target = name.parse().unwrap();
            assert_eq!(serde_json::to_value(target).unwrap(), name);
        }
        let complaint = "flood".parse::<FaultKind>().unwrap_err();
        assert!(complaint.contains("partition") && complaint.contains("isolate-leader"));
        assert_eq!(complaint.matches("pause").count(), 1, "{complaint}");
        assert!("node:two".parse::<Target>().unwrap_err().contains("node:NUMBER"));
    }

    #[test]
    fn some_faults_choose_their_victims_themselves() {
        assert_eq!(FaultKind::KillAll.aim(Target::Follower), Target::All);
        assert_eq!(FaultKind::IsolateLeader.aim(Target::All), Target::Leader);
        assert_eq!(FaultKind::Pause.aim(Target::Follower), Target::Follower);
    }
}
