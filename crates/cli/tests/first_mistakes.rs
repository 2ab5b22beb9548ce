//! What a new user gets wrong first: the message says what to change, and a wrong path leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use support::{binary, ended_within};

/// How long a command may take: one that is not refused would go on.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the command in this folder; gives everything that it said. Its end has code 254.
fn refused(folder: &Path, args: &[&str]) -> String {
    let mut command = binary();
    command.current_dir(folder).env_remove("CHRONIK_SERVER").args(args);
    let output = ended_within(&mut command, LIMIT);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(254), "{args:?}: {text}");
    text
}

#[test]
fn a_path_or_a_run_that_is_not_there_says_what_to_give_and_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let cases: [(&[&str], &[&str]); 14] = [
        (&["check", "nope.jsonl"], &["nope.jsonl", "give a history file or a run directory"]),
        (&["check", "store/latest"], &["`perjury run` makes a run"]),
        (&["check", "empty"], &["STORE/NAME/TIME"]),
        (&["evidence", "store/latest"], &["there is no store/latest", "NAME/TIME"]),
        (&["evidence", "a/b"], &["there is no a/b", "`perjury run` makes a run"]),
        (
            &["ticket", "a/b", "--tracker", "gitea", "--url", "http://[::1]", "--project", "a/b"],
            &["there is no a/b"],
        ),
        (&["verify", "nope.zip"], &["perjury evidence made"]),
        (&["replay", "a/b"], &["NAME/TIME of a run"]),
        (&["reindex", "--store", "stroe"], &["there is no store stroe", "--store"]),
        (&["prune", "--keep-days", "3", "--store", "stroe"], &["there is no store stroe"]),
        (&["campaign", "--store", "stroe", "list"], &["there is no store stroe"]),
        (&["campaign", "--store", "empty", "show", "x"], &["`perjury campaign list`"]),
        (&["doctor", "--compare", "a", "b"], &["cannot compare a", "two run directories"]),
        (&["run", "--store", "/dev/null/x"], &["--store a folder that you may write to"]),
    ];
    for (args, expected) in cases {
        let said = refused(folder.path(), args);
        for part in expected {
            assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
        }
    }
    let left = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["empty"]);
}

#[test]
fn a_broker_that_is_down_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let attach =
        |address: &str| refused(folder.path(), &["doctor", "--cluster", "attach", "-b", address]);
    let down = attach(&free);
    assert!(down.contains(&free) && down.contains("start the broker"), "{down}");
    assert!(attach("127.0.0.1").contains("host:port"));
    assert!(attach("no-such-host.invalid:9092").contains("the host's name and port"));
    // A port behind which nobody answers as a broker would.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let told = attach(&silent.local_addr().unwrap().to_string());
    assert!(told.contains("Kafka listener"), "{told}");
}

#[test]
fn an_address_that_cannot_be_listened_on_says_which_can() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for words in [["serve"], ["demo"]] {
        let said = refused(folder.path(), &[&words[..], &["--bind", &address]].concat());
        assert!(said.contains("choose another port"), "{words:?}: {said}");
    }
    let foreign = refused(folder.path(), &["serve", "--bind", "192.0.2.1:8080"]);
    assert!(foreign.contains("127.0.0.1"), "{foreign}");
    let no_address = refused(folder.path(), &["serve", "--bind", "8080"]);
    assert!(no_address.contains("127.0.0.1:8080"), "{no_address}");
}

#[test]
fn a_program_that_the_cluster_does_not_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (cluster, expected) in
        [("kafka", "--cluster-version"), ("attach", "starts no nodes"), ("command", "--layout")]
    {
        let said = refused(folder.path(), &["run", "--cluster", cluster, "--binary", "server"]);
        assert!(said.contains(expected), "{cluster}: {said}");
    }
    let said = refused(folder.path(), &["run", "--cluster", "chronik"]);
    assert!(said.contains("--binary PATH") && said.contains("CHRONIK_SERVER"), "{said}");
}
