//! `perjury calibrate` through the real binary: a reduced set of what a calibration does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::Value;
use std::fs;
use support::{perjury, processes_of, stderr, stdout};

/// The bugs that a few seconds show whatever the machine does meanwhile, each of another kind.
const BUGS: &str = "duplicate-on-retry,sequence-wrap,corrupt-record,index-mixup";

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", stdout(output), stderr(output)))
}

#[test]
fn a_reduced_calibration_finds_bugs_accuses_no_correct_cluster_and_goes_on_where_it_was_cut_short()
{
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let asked = [
        "calibrate",
        "--quick",
        "--store",
        store,
        "--seed",
        "11",
        "--seeds",
        "1",
        "--bugs",
        BUGS,
        "--workloads",
        "queue",
        "--clean",
        "6",
        "--parallel",
        "3",
        "--pace",
        "200",
        "--output",
        "json",
    ];
    let first = perjury(&asked);
    let result = json(&first);
    let said = stderr(&first);
    assert_eq!(first.status.code(), Some(0), "{said}");
    assert_eq!(result["schema"], "perjury.calibration/1");
    assert_eq!((&result["complete"], &result["runs"]), (&Value::Bool(true), &Value::from(10)));
    assert_eq!(result["accused"]["found"], 0, "{said}");
    assert_eq!(result["accused"]["runs"], 6);
    let cells = result["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    for cell in cells {
        assert_eq!(cell["recall"]["found"], 1, "{cell}\n{said}");
        assert_eq!(cell["as_expected"], 1, "{cell}");
        let (ms, operations) = (&cell["median_ms"], &cell["median_operations"]);
        assert!(ms.as_u64().unwrap() > 0 && operations.as_u64().unwrap() > 0, "{cell}");
    }
    assert!(said.contains("10 of 10 runs"), "progress is told: {said}");

    // Cut short: three of the lines are gone, and one is torn. Only those four runs are made again.
    let folder = dir.path().join(".calibrations").join(result["id"].as_str().unwrap());
    let path = folder.join("outcomes.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.lines().take(6).collect();
    fs::write(&path, format!("{}\n{{\"key\":\"torn", kept.join("\n"))).unwrap();
    let again = perjury(&["calibrate", "--resume", "--store", store, "--parallel", "3"]);
    let told = stdout(&again);
    assert_eq!(again.status.code(), Some(0), "{told}{}", stderr(&again));
    assert!(told.contains("10 runs") && told.contains("1/1") && told.contains("0/"), "{told}");
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), 10);
    assert!(kept.iter().all(|line| lines.lines().any(|now| now == *line)), "kept lines stay");

    // What it measured stands beside the verdict of a run of this store that is long enough for such a trial.
    let run = support::run(
        dir.path(),
        &["--time-limit", "12s", "--nemesis", "pause", "--target", "follower", "--seed", "3"],
    );
    let stated = run.report["calibration"]["statement"].as_str().unwrap();
    assert!(stated.starts_with("this plan finds ") && stated.contains("of 4 known"), "{stated}");
    assert!(run.report["calibration"]["chances"]["index-mixup"].as_f64().unwrap() > 0.0);
    assert!(processes_of(dir.path()).is_empty(), "nothing is left running");
    // Nothing of a calibration is among the runs.
    let listed: Vec<_> =
        fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!listed.iter().any(|name| name == "clean"), "{listed:?}");
}

#[test]
fn what_cannot_be_calibrated_is_said_before_any_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let refused = |args: &[&str], word: &str| {
        let all: Vec<&str> = ["calibrate", "--store", store].iter().chain(args).copied().collect();
        let output = perjury(&all);
        assert_eq!(output.status.code(), Some(254), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    };
    refused(&["--bugs", "gremlins"], "gremlins");
    refused(&["--workloads", "juggling"], "juggling");
    refused(&["--resume"], "no calibration");
    refused(&["--show", "20200101T000000.000Z"], "20200101T000000.000Z");
    refused(&["--show", "../secret"], "../secret");
    refused(&["--resume", "--seed", "3"], "--seed");
}
