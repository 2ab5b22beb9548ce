//! Plan files: what they expand to, and how they are refused.

use perjury_campaign::{PlanError, Resolved, parse_plan, plan_schema};
use serde_json::{Value, json};

fn none(id: &str) -> Result<Value, String> {
    Err(format!("there is no run {id}"))
}

fn expand(text: &str) -> Result<Vec<Resolved>, Vec<PlanError>> {
    parse_plan(text).map_err(|e| vec![e])?.expand(&none)
}

const MATRIX: &str = r#"
name = "release"
seeds = [3, 4]
repeats = 2
[run]
time_limit = "10s"
rate = 200
[matrix]
cluster = [{ cluster = "testbed" }, { label = "buggy", bugs = ["forget-unsynced"] }]
faults = [{ nemesis = ["kill"] }, { nemesis = ["kill", "pause"], target = ["all"] }]
client = [{ acks = "all" }]
"#;

#[test]
fn a_matrix_is_the_product_of_its_axes_with_repeats_outermost() {
    let runs = expand(MATRIX).unwrap();
    assert_eq!(runs.len(), 2 * 2 * 2 * 2);
    let names: Vec<&str> = runs.iter().take(4).map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "release-testbed-kill",
            "release-testbed-kill-pause",
            "release-buggy-kill",
            "release-buggy-kill-pause"
        ]
    );
    assert_eq!(runs[2].plan.cluster.bugs, ["forget-unsynced"]);
    assert!(runs.iter().all(|r| r.plan.worker.time_limit_ms == 10_000));
    let seeds: Vec<u64> = runs.iter().step_by(4).map(|r| r.seed).collect();
    assert_eq!(seeds, [3, 4, 3, 4]);
    // The same cell, seed and repeat ask the same operations and faults.
    assert_eq!(runs[0].plan, runs[8].plan);
    assert_ne!(runs[0].plan.worker.schedule, runs[4].plan.worker.schedule);
}

#[test]
fn a_plan_without_a_matrix_is_one_run() {
    let runs = expand("name = \"one\"").unwrap();
    assert_eq!((runs.len(), runs[0].name.as_str(), runs[0].seed), (1, "one", 1));
    assert_eq!(expand("name = \"many\"\nseeds = { from = 5, count = 3 }").unwrap()[2].seed, 7);
}

#[test]
fn bad_plans_are_refused_with_place_and_advice() {
    let first = |text: &str| expand(text).unwrap_err().remove(0);
    let unknown = first("name = \"a\"\n\n[run]\nspeed = 9\n");
    assert_eq!(unknown.line, Some(4));
    assert!(unknown.message.contains("speed"), "{unknown}");
    assert_eq!(first("name = \"../x\"").path, "name");
    assert_eq!(first("name = \"a\"\nrepeats = 0").path, "repeats");
    assert_eq!(first("name = \"a\"\nseeds = []").path, "seeds");
    assert!(
        first("name = \"a\"\nseeds = { from = 1, count = 18446744073709551615 }")
            .message
            .contains("10000")
    );
    assert!(
        first("name = \"a\"\n[matrix]\nworkload = [\"queue\", \"opera\"]")
            .message
            .contains("opera")
    );
    assert!(first("name = ").line.is_some());
    assert!(first(&format!("name = \"a\" # {}", "x".repeat(300_000))).message.contains("bytes"));
}

#[test]
fn a_replay_is_the_same_plan_again() {
    let original = expand(MATRIX).unwrap().remove(3).plan;
    let stored = serde_json::to_value(&original).unwrap();
    let earlier = |id: &str| if id == "a/t" { Ok(stored.clone()) } else { none(id) };
    let plan = parse_plan("name = \"again\"\nrepeats = 2\nreplay = \"a/t\"").unwrap();
    let runs = plan.expand(&earlier).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1].plan.worker, original.worker);
    assert_eq!(runs[1].plan.name, "again");
    let missing = parse_plan("name = \"again\"\nreplay = \"b/t\"").unwrap();
    assert_eq!(missing.expand(&earlier).unwrap_err()[0].path, "replay");
}

#[test]
fn the_schema_names_every_setting() {
    let schema = plan_schema();
    assert_eq!(schema["required"], json!(["name"]));
    let text = schema.to_string();
    for setting in ["nemesis_interval", "rerun_interrupted", "matrix", "min_insync_replicas"] {
        assert!(text.contains(setting), "{setting}");
    }
}
