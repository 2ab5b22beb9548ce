//! The workloads of groups, compacted topics, ends of logs and administration on real processes: three nodes, librdkafka
//! clients, real signals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::{caught, kept, latest};

/// A workload with enough load for a verdict, little enough for two cores.
fn with<'a>(workload: &'a str, faults: &[&'a str]) -> Vec<&'a str> {
    [&["--rate", "150", "--concurrency", "9", "--workload", workload], faults].concat()
}

#[test]
fn a_group_of_a_correct_cluster_resumes_at_what_it_committed() {
    let faults = ["--nemesis", "kill,pause", "--nemesis-interval", "1s", "--fault-duration", "1s"];
    kept(5, 12, &with("group", &faults), |store, _| {
        let history = std::fs::read_to_string(latest(store).join("history.jsonl")).unwrap();
        let ended: Vec<Value> = history
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|row: &Value| row["type"] == "ok")
            .collect();
        // Who finds nothing committed asks for the beginning, and may take a late answer for one to its next assignment.
        let first = |f: &str| ended.iter().position(|row| row["f"] == f).unwrap();
        let beginnings = ended[first("commit")]["value"].as_object().unwrap();
        assert!(beginnings.values().all(|offset| offset == 0), "{beginnings:?}");
        assert!(first("commit") < first("subscribe"), "somebody joined before");
        // Each rebalance names its generation; how many there are depends on how quickly the group came together.
        let generations: BTreeSet<i64> = ended
            .iter()
            .filter(|row| row["f"] == "rebalance")
            .flat_map(|row| row["value"].as_array().unwrap().clone())
            .map(|event| event["generation"].as_i64().unwrap())
            .collect();
        assert!(generations.first().is_some_and(|first| *first >= 1), "{generations:?}");
    });
}

#[test]
fn a_committed_offset_that_is_one_too_high_skips_records() {
    let args = with("group", &["--nemesis", "none"]);
    caught("skip-after-rebalance", Some("skipped-past-commit"), 10, &args);
}

#[test]
fn a_fault_hits_the_one_coordinator_that_keeps_the_groups_commits() {
    // Any other node that coordinates something knows nothing of this group.
    let args = with("group", &["--schedule", "kill coordinator at 3s for 2s"]);
    caught("commit-lost", Some("commit-regression"), 8, &args);
}

#[test]
fn the_end_of_a_log_that_goes_back_for_one_client_gives_a_stale_leader_away() {
    // The more often a leader is deposed, the surer somebody asks it right after its successor. Who reads to the end may
    // have been sent to the wrong leader, too, which is no reason to wait for long.
    let faults = ["--nemesis", "pause", "--target", "leader", "--nemesis-interval", "2500ms"];
    let times = ["--fault-duration", "1600ms", "--partitions", "1", "--final-time-limit", "5s"];
    let args = with("list-offsets", &[&faults[..], &times].concat());
    caught("stale-leader", Some("offset-regression"), 12, &args);
}

#[test]
fn compaction_that_keeps_first_values_loses_last_ones() {
    let args = with("compacted", &["--nemesis", "none"]);
    caught("compaction-keeps-wrong", Some("lost-last-value"), 6, &args);
}

#[test]
fn topics_come_and_go_while_a_node_is_killed() {
    kept(5, 8, &with("admin", &["--nemesis", "kill", "--target", "follower"]), |_, _| {});
}
