//! What Apache Kafka's log lines and failures mean.

use crate::diagnosis::{LikelyCause, Symptoms};
use crate::doctor::{Finding, Severity};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long `java -version` may take.
const JAVA_LIMIT: Duration = Duration::from_secs(20);

/// The oldest Java that a version of Kafka runs on: 17 from 4.0 on, 11 before.
fn needed_java(kafka: &str) -> u32 {
    let major = kafka.split('.').next().and_then(|n| n.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 4) { 17 } else { 11 }
}

/// Checks that Java runs and is new enough.
pub(super) async fn check_java(java: &Path, kafka: &str) -> Option<Finding> {
    let run = Command::new(java).arg("-version").stdin(Stdio::null()).kill_on_drop(true).output();
    let shown = java.display();
    let (rule, text, fix) = match tokio::time::timeout(JAVA_LIMIT, run).await {
        Ok(Ok(output)) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            let (has, needs) = (java_version(&said)?, needed_java(kafka));
            if has >= needs {
                return None;
            }
            let fix = format!("`apt-get install openjdk-{needs}-jre-headless`, or set JAVA_HOME");
            let text = format!("{shown} is Java {has}, and Kafka {kafka} needs {needs} or newer");
            ("java-too-old", text, fix)
        }
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().next().unwrap_or("no word").to_owned();
            ("java-broken", format!("{shown} does not run: {line}"), INSTALL.to_owned())
        }
        Ok(Err(error)) => {
            ("java-broken", format!("{shown} does not run: {error}"), INSTALL.to_owned())
        }
        Err(_) => ("java-broken", format!("{shown} does not answer -version"), INSTALL.to_owned()),
    };
    Some(Finding::new(Severity::Error, LikelyCause::known(rule, text, fix)))
}

const INSTALL: &str = "`apt-get install openjdk-17-jre-headless`, or set JAVA_HOME";

/// The major version in the output of `java -version`: `"17.0.2"` → 17, `"1.8.0_292"` → 8.
fn java_version(said: &str) -> Option<u32> {
    let quoted = said.split('"').nth(1)?;
    let mut parts = quoted.split(['.', '-', '+', '_']).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(1)), Some(Ok(minor))) => Some(minor),
        (Some(Ok(major)), _) => Some(major),
        _ => None,
    }
}

/// The milestones of a node's life.
pub(super) fn milestone(line: &str) -> Option<&'static str> {
    const RAFT: [(&str, &str); 6] = [
        ("Completed transition to Leader(", "raft-leader"),
        ("Completed transition to FollowerState(", "raft-follower"),
        ("Completed transition to CandidateState(", "raft-candidate"),
        ("Completed transition to ProspectiveState(", "raft-candidate"),
        ("Completed transition to Unattached", "raft-unattached"),
        ("Completed transition to ResignedState(", "raft-resigned"),
    ];
    if line.contains("Kafka Server started") {
        return Some("ready");
    }
    if line.contains("Becoming the active controller") {
        return Some("active-controller");
    }
    if line.contains("has been fenced") || line.contains("Fencing broker") {
        return Some("broker-fenced");
    }
    RAFT.iter().find(|(phrase, _)| line.contains(phrase)).map(|(_, what)| *what)
}

/// What a node's words are known to mean: phrase, name, cause, what to change.
const KNOWN: [(&str, &str, &str, &str); 6] = [
    (
        "UnsupportedClassVersionError",
        "java-too-old",
        "this Java is too old for this Kafka",
        "`apt-get install openjdk-17-jre-headless`, or set JAVA_HOME",
    ),
    (
        "OutOfMemoryError",
        "out-of-memory",
        "the JVM ran out of memory",
        "free some memory, or run fewer nodes",
    ),
    (
        "Could not find or load main class",
        "jars-missing",
        "the folder of jars is not whole",
        "delete the version's folder in the cache; the next run fetches it again",
    ),
    (
        "INCONSISTENT_CLUSTER_ID",
        "other-cluster",
        "a voter's address belongs to another cluster",
        "end the other cluster, or give this one other ports",
    ),
    (
        "doesn't match stored clusterId",
        "other-cluster-data",
        "the data folder belongs to another cluster",
        "give an empty data folder",
    ),
    (
        "No readable meta.properties",
        "not-formatted",
        "the data folder was not formatted",
        "let the driver prepare the node, or format it with kafka-storage",
    ),
];

/// The cause that the node's own words are known for.
pub(super) fn explain(symptoms: &Symptoms<'_>) -> Option<LikelyCause> {
    if let Some((_, rule, text, fix)) =
        KNOWN.iter().find(|(phrase, ..)| symptoms.line(phrase).is_some())
    {
        return Some(LikelyCause::known(rule, *text, *fix));
    }
    let line = symptoms.line("ConfigException")?;
    let said = line.split_once("ConfigException: ").map_or(line, |(_, said)| said);
    Some(LikelyCause::known(
        "setting-refused",
        format!("Kafka refuses a setting: {said}"),
        "change that --cluster-set; the whole file is nodes/N/server.properties",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formation::FormationStep;
    use crate::node::NodeId;

    #[test]
    fn versions_of_java_are_read_in_both_styles() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("java version \"1.8.0_292\""), Some(8));
        assert_eq!(java_version("openjdk version \"21-ea\""), Some(21));
        assert_eq!(java_version("nothing"), None);
        assert_eq!((needed_java("4.4.0"), needed_java("3.9.1")), (17, 11));
    }

    #[test]
    fn milestones_are_found_and_other_lines_are_not() {
        let line = "[2026-01-01 00:00:00,000] INFO [KafkaRaftServer nodeId=1] Kafka Server started (kafka.server.X)";
        assert_eq!(milestone(line), Some("ready"));
        let line = "INFO [RaftManager id=2] Completed transition to Leader(localVoterNode=2, epoch=3) from CandidateState";
        assert_eq!(milestone(line), Some("raft-leader"));
        assert_eq!(milestone("INFO something else"), None);
    }

    #[test]
    fn a_refused_setting_is_told_in_kafkas_words() {
        let log = ["ERROR org.apache.kafka.common.config.ConfigException: Invalid value x for configuration min.insync.replicas: Not a number".to_owned()];
        let symptoms = Symptoms {
            node: NodeId(1),
            exit: None,
            waiting_for: FormationStep::StayAlive,
            log: &log,
            brokers: None,
        };
        let cause = explain(&symptoms).unwrap();
        assert!(cause.to_string().ends_with("min.insync.replicas: Not a number"), "{cause}");
    }
}
