//! Schedules that are written by hand, and the runs that have a name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::Value;
use support::{latest, perjury, run, stderr, stdout, turn};

#[test]
fn faults_overlap_as_their_schedule_says() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let ran = run(
        store.path(),
        &[
            "--schedule",
            "pause followers at 2s for 4s",
            "--schedule",
            "kill leader at 4s for 5s",
            "--acks",
            "1",
            "--partitions",
            "1",
            "--rate",
            "300",
            "--concurrency",
            "8",
            "--time-limit",
            "12s",
            "--seed",
            "1",
        ],
    );
    let history = std::fs::read_to_string(latest(store.path()).join("history.jsonl")).unwrap();
    let rows = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let phases: Vec<(String, Vec<i64>)> = rows
        .filter(|row| row["process"] == "nemesis" && row["value"]["fault"].is_u64())
        .map(|row| {
            let (f, phase) = (row["f"].as_str().unwrap(), row["value"]["phase"].as_str().unwrap());
            let nodes = row["value"]["nodes"].as_array().unwrap();
            (format!("{f} {phase}"), nodes.iter().filter_map(Value::as_i64).collect())
        })
        .collect();
    let at = |wanted: &str| phases.iter().position(|(phase, _)| phase == wanted).unwrap();
    let (paused, killed, resumed) = (at("pause injected"), at("kill injected"), at("pause healed"));
    assert!(paused < killed && killed < resumed && resumed < at("kill healed"), "{phases:?}");
    let (followers, leader) = (&phases[paused].1, &phases[killed].1);
    assert_eq!((followers.len(), leader.len()), (2, 1), "{phases:?}");
    assert!(!followers.contains(&leader[0]), "{phases:?}");
    assert_eq!(ran.report["coverage"]["faults_witnessed"], 2, "{}\n{:#}", ran.said, ran.report);
    assert_eq!(ran.violations(), Vec::<&str>::new(), "acks=1 promises little: {:#}", ran.report);
}

#[test]
fn wrong_schedules_and_plans_are_named_with_what_to_do() {
    let refused = |args: &[&str]| {
        let output = perjury(&[&["run", "--dry-run"], args].concat());
        assert_eq!(output.status.code(), Some(254), "{args:?}");
        stderr(&output)
    };
    assert!(refused(&["--schedule", "kill leader"]).contains("pause followers at 5s for 2s"));
    assert!(
        refused(&["--schedule", "kill at 1s for 2s", "--nemesis", "kill"]).contains("--nemesis")
    );
    assert!(refused(&["--schedule", "kill at 29s for 2s"]).contains("--time-limit"));
    assert!(refused(&["--schedule", "kill of 9 at 1s for 2s"]).contains("partition 9"));
    assert!(refused(&["--plan", "power-loss", "--acks", "1"]).contains("power-loss"));
    let unknown = refused(&["--plan", "no-such-plan"]);
    let help = stdout(&perjury(&["run", "--help"]));
    for named in perjury_campaign::NAMED_RUNS {
        assert!(unknown.contains(named.name), "{unknown}");
        assert!(help.contains(named.name), "{}", named.name);
    }
    let plan = perjury(&["run", "--dry-run", "--plan", "unclean-election", "--cluster", "kafka"]);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["schedule"][0]["target"], "follower");
    assert_eq!(plan["topic"]["unclean_leader_election"], true);
}
