//! `perjury convert`: every form says the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::path::Path;
use support::{perjury, stderr, stdout};

/// Runs to success; gives stdout.
fn done(args: &[&str]) -> String {
    let output = perjury(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

/// The anomalies that a check finds, and its exit code.
fn anomalies(file: &str) -> (Option<i32>, serde_json::Value) {
    let output = perjury(&["check", file, "--output", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report["anomalies"].clone())
}

#[test]
fn a_history_goes_through_parquet_and_comes_back_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let [native, twin, back] =
        ["a.jsonl", "a.parquet", "b.jsonl"].map(|name| path(dir.path(), name));
    done(&["generate", "--defect", "lose-acked", "--seed", "3", "--out", &native]);
    done(&["convert", &native, &twin]);
    done(&["convert", &twin, &back]);
    assert_eq!(std::fs::read(&native).unwrap(), std::fs::read(&back).unwrap());
    assert_eq!(
        done(&["convert", &twin, "-", "--to", "jsonl"]),
        std::fs::read_to_string(&native).unwrap()
    );
    let (code, found) = anomalies(&native);
    assert_eq!(code, Some(1));
    assert!(found.get("lost-write").is_some(), "{found}");
    assert_eq!(anomalies(&twin), (code, found));
}

#[test]
fn a_directory_that_was_copied_in_gets_its_report_and_goes_when_no_rule_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let (root, place) = (path(dir.path(), ""), dir.path().join("copied/20200101T000000.000Z"));
    std::fs::create_dir_all(&place).unwrap();
    let run = place.to_str().unwrap();
    let none = perjury(&["check", run, "--save"]);
    assert_eq!(none.status.code(), Some(254), "{}", stderr(&none));
    done(&["generate", "--seed", "3", "--out", &path(&place, "history.jsonl")]);
    assert!(!place.join("report.json").exists());
    let loose = path(dir.path(), "loose.jsonl");
    std::fs::copy(place.join("history.jsonl"), &loose).unwrap();
    let refused = perjury(&["check", &loose, "--save"]);
    assert!(stderr(&refused).contains("no run directory"), "{}", stderr(&refused));
    let checked = perjury(&["check", run, "--save"]);
    let report = std::fs::read(place.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let code = checked.status.code().unwrap();
    assert_eq!(report["verdict"], ["valid", "invalid", "unknown"][usize::try_from(code).unwrap()]);
    assert_ne!(report["verdict"], "invalid", "nothing was injected");
    let prune =
        |more: &[&str]| done(&[&["prune", "--store", &root, "--keep-days", "30"], more].concat());
    assert_eq!(prune(&["--dry-run"]), "copied/20200101T000000.000Z would go\n");
    std::fs::write(place.join("pinned"), "").unwrap();
    assert_eq!(prune(&[]), "");
    std::fs::remove_file(place.join("pinned")).unwrap();
    assert_eq!(prune(&[]), "copied/20200101T000000.000Z is gone\n");
    assert!(!place.exists());
}

#[test]
fn jepsens_form_keeps_what_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let [edn, twin] = ["a.edn", "a.parquet"].map(|name| path(dir.path(), name));
    let (shape, form) = ("jepsen", "jepsen-edn");
    let defect = "precommitted-read";
    done(&["generate", "--shape", shape, "--format", form, "--defect", defect, "--out", &edn]);
    done(&["convert", &edn, &twin]);
    let (code, found) = anomalies(&edn);
    assert!(found.get("precommitted-read").is_some(), "{found}");
    assert_eq!(anomalies(&twin), (code, found));
}

#[test]
fn what_cannot_be_converted_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let [native, damaged] = ["a.jsonl", "a.parquet"].map(|name| path(dir.path(), name));
    done(&["generate", "--operations", "20", "--out", &native]);
    std::fs::write(&damaged, b"PAR1 and nothing else").unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["convert", &native, "somewhere"], "--to"),
        (&["convert", &native, &native], "overwrite"),
        (&["convert", &damaged, "x.jsonl"], "perjury convert"),
        (&["convert", &native, "/no/such/folder/x.edn"], "/no/such/folder"),
    ];
    for (args, expected) in cases {
        let output = perjury(args);
        assert_eq!(output.status.code(), Some(254), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}
