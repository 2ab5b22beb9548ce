//! Bad arguments and bad input: a message that names the place and what to do, exit code 254.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use support::{HEADER, perjury, stderr, stdout};

const SEND: &str = "{\"index\":0,\"time\":5,\"process\":0,\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"send\",\"t-0\",1]]}\n";

/// Checks a file with this content; gives the exit code and stderr.
fn check(content: &[u8]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.jsonl");
    std::fs::write(&path, content).unwrap();
    let output = perjury(&["check", path.to_str().unwrap()]);
    (output.status.code().unwrap(), stderr(&output) + &stdout(&output))
}

#[test]
fn bad_files_are_refused_with_file_line_and_advice() {
    let reversed = format!(
        "{HEADER}{SEND}{}",
        "{\"index\":1,\"time\":2,\"process\":0,\"type\":\"ok\",\"f\":\"send\",\"value\":[[\"send\",\"t-0\",[0,1]]]}\n"
    );
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("empty", Vec::new(), &["history.jsonl", "empty"]),
        (
            "binary",
            vec![0x7f, b'E', b'L', b'F', 0, 1, 2, 3, 0xff, 0xfe],
            &["history.jsonl", "line 1"],
        ),
        ("reversed time", reversed.into_bytes(), &["history.jsonl", "line 3", "time"]),
        (
            "bad JSON",
            format!("{HEADER}{SEND}{{\"index\":1,]\n").into_bytes(),
            &["line 3", "column"],
        ),
        (
            "newer format",
            b"{\"perjury\":\"history\",\"format\":\"9.0\"}\n".to_vec(),
            &["line 1", "9.0"],
        ),
    ];
    for (name, content, expected) in cases {
        let (code, said) = check(&content);
        assert_eq!(code, 254, "{name}: {said}");
        for part in expected {
            assert!(said.contains(part), "{name}: {part:?} is not in {said}");
        }
    }
}

#[test]
fn a_torn_last_line_is_salvaged_and_reported() {
    let (code, said) = check(format!("{HEADER}{SEND}{{\"index\":1,\"ti").as_bytes());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("torn"), "{said}");
}

#[test]
fn bad_arguments_end_with_254_and_name_what_works() {
    let cases: [(&[&str], &str); 11] = [
        (&["run", "--nemesis", "meteor"], "kill, pause"),
        (&["run", "--cluster", "mainframe"], "testbed"),
        (&["run", "--bug", "no-such-bug", "--store", "/dev/null/x"], "no-such-bug"),
        (&["run", "--time-limit", "soon"], "soon"),
        (&["run", "--acks", "1", "--idempotence", "true"], "idempotence"),
        (&["run", "--concurrency", "many"], "3n"),
        (&["check", "/no/such/file"], "/no/such/file"),
        (&["check", "--contract", "gentlemen", "x"], "jepsen"),
        (&["check", "--only", "lost-rite", "x"], "lost-write"),
        (&["generate", "--info-rate", "2"], "0 to 1"),
        (&["frobnicate"], "frobnicate"),
    ];
    for (args, expected) in cases {
        let output = perjury(args);
        assert_eq!(output.status.code(), Some(254), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn help_and_version_go_to_stdout_and_succeed() {
    for args in [["--help"], ["--version"]] {
        let output = perjury(&args);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("perjury"));
    }
}

#[test]
fn a_dry_run_prints_the_plan_and_the_same_seed_gives_the_same_plan() {
    let plan = |seed| stdout(&perjury(&["run", "--dry-run", "--seed", seed]));
    assert_eq!(plan("4"), plan("4"));
    assert_ne!(plan("4"), plan("5"));
    let plan: serde_json::Value = serde_json::from_str(&plan("4")).unwrap();
    assert!(plan["schedule"].as_array().unwrap().len() >= 3, "{plan:#}");
}
