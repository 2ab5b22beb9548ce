//! Other clusters than the embedded one, the plan `raft-failover`, and the doctor.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{
    alone, binary, ended, ended_if_started, latest, perjury, processes_of, run, stderr, stdout,
    turn,
};

fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn goal<'a>(report: &'a Value, name: &str) -> &'a Value {
    let goals = report["goals"].as_array().unwrap();
    goals.iter().find(|goal| goal["name"] == name).unwrap()
}

#[test]
fn raft_failover_on_the_testbed_reports_its_figures_against_their_goals() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let ran = run(store.path(), &["--plan", "raft-failover", "--seed", "3"]);
    assert_eq!(ran.code, 0, "{}\n{:#}", ran.said, ran.report);
    assert_eq!(goal(&ran.report, "loss")["met"], true);
    assert_eq!(goal(&ran.report, "consumed")["met"], true);
    for name in ["formation", "election"] {
        let measured = goal(&ran.report, name)["measured"].as_str().unwrap();
        assert!(measured.ends_with(" ms"), "{name}: {measured}");
    }
    let acknowledged = ran.report["counts"]["acknowledged"].as_u64().unwrap();
    assert!(acknowledged > 1_000, "{acknowledged}");
    assert_eq!(ran.report["coverage"]["leader_kills"], 1);
    // The figures follow from the history alone.
    let again = perjury(&["check", latest(store.path()).to_str().unwrap(), "--output", "json"]);
    let checked: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(checked["goals"], ran.report["goals"]);
    assert_eq!(processes_of(store.path()), Vec::<i32>::new());
}

#[test]
fn apache_kafka_keeps_its_promises_when_its_leader_is_killed() {
    if !there("java") || !there("mvn") {
        eprintln!("skipped: java and mvn are needed for Apache Kafka");
        return;
    }
    let _turn = alone();
    let store = tempfile::tempdir().unwrap();
    let load = ["--time-limit", "30s", "--rate", "150", "--concurrency", "6", "--partitions", "1"];
    let faults = ["--nemesis", "kill", "--target", "leader", "--nemesis-interval", "5s"];
    let mut all = vec!["--cluster", "kafka", "--fault-duration", "12s", "--seed", "1"];
    all.extend(load.into_iter().chain(faults));
    let output = ended(
        binary()
            .args(["run", "--output", "json", "--store", store.path().to_str().unwrap()])
            .args(all),
    );
    let said = stderr(&output);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {said}"));
    let broken = report["anomalies"].as_object().unwrap().values();
    let broken = broken.filter(|anomaly| anomaly["judgement"] == "violation").count();
    assert_eq!(broken, 0, "{report:#}");
    assert!(report["counts"]["acknowledged"].as_u64().unwrap() > 0, "{said}");
    assert!(said.contains("has yet to listen on its Kafka port"), "{said}");
    let history = std::fs::read_to_string(latest(store.path()).join("history.jsonl")).unwrap();
    for seen in ["\"milestone\"", "\"raft-state\"", "Kafka Server started"] {
        assert!(history.contains(seen), "the history has no {seen}");
    }
    assert_eq!(processes_of(store.path()), Vec::<i32>::new());
}

/// A node of the testbed that nobody of the run under test started.
struct Foreign {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn foreign() -> Foreign {
    let dir = tempfile::tempdir().unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (kafka, raft) = (free(), free());
    let config = json!({
        "node_id": 1,
        "data_dir": dir.path().join("data"),
        "kafka_addr": kafka,
        "raft_addr": raft,
        "peers": [{ "id": 1, "kafka": kafka, "raft": raft }],
        "default_replication_factor": 1,
        "min_insync_replicas": 1,
    });
    let file = dir.path().join("config.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let child = binary()
        .args(["testbed", "node", "--config", file.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let foreign = Foreign { child, address: kafka.to_string(), _dir: dir };
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(kafka).is_err() {
        assert!(Instant::now() < deadline, "the node does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    foreign
}

/// Runs against the foreign node and gives the report with the run's history.
fn attached(store: &Path, foreign: &Foreign, args: &[&str]) -> (Value, String) {
    let load = ["--time-limit", "12s", "--rate", "100", "--concurrency", "4", "--partitions", "1"];
    let output = ended(
        binary()
            .args(["run", "--output", "json", "--store", store.to_str().unwrap()])
            .args(["--replication-factor", "1", "--nodes", "1"])
            .args(load)
            .args(args),
    );
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {}", stderr(&output)));
    assert!(std::net::TcpStream::connect(&foreign.address).is_ok(), "the node was ended");
    let history = std::fs::read_to_string(latest(store).join("history.jsonl")).unwrap();
    (report, history)
}

#[test]
fn a_running_cluster_is_attached_to_and_left_as_it_was() {
    let _turn = turn();
    let (store, foreign) = (tempfile::tempdir().unwrap(), foreign());
    let args = ["--cluster", "attach", "-b", &foreign.address, "--nemesis", "none"];
    let (report, history) = attached(store.path(), &foreign, &args);
    assert_eq!(report["verdict"], "unknown", "no fault was witnessed");
    assert_eq!(report["coverage"]["final_read"], "completed", "{:#}", report["reason_details"]);
    assert!(report["counts"]["acknowledged"].as_u64().unwrap() > 50);
    assert!(history.contains("perjury-queue-"), "topics have our prefix and a name of their own");

    let refused = ended(
        binary()
            .args(["run", "--store", store.path().to_str().unwrap(), "--nemesis", "kill"])
            .args(["--cluster", "attach", "-b", &foreign.address, "--replication-factor", "1"]),
    );
    assert_eq!(refused.status.code(), Some(254));
    assert!(stderr(&refused).contains("--i-own-this-cluster"), "{}", stderr(&refused));
}

#[test]
fn commands_of_the_users_own_break_a_cluster_and_their_effect_is_witnessed() {
    let _turn = turn();
    let (store, foreign) = (tempfile::tempdir().unwrap(), foreign());
    let layout: PathBuf = store.path().join("layout.toml");
    let (pid, address) = (foreign.child.id(), &foreign.address);
    let text = format!(
        "[commands]\npause = 'kill -STOP {pid}'\nresume = 'kill -CONT {pid}'\n[[node]]\nid = 1\naddress = '{address}'\n"
    );
    std::fs::write(&layout, text).unwrap();
    let faults = ["--nemesis", "pause", "--target", "all", "--nemesis-interval", "3s"];
    let mut args = vec!["--cluster", "command", "--layout", layout.to_str().unwrap()];
    args.extend(faults.into_iter().chain(["--fault-duration", "2s"]));
    let (report, _) = attached(store.path(), &foreign, &args);
    assert!(report["coverage"]["faults_witnessed"].as_u64().unwrap() >= 1, "{report:#}");
    let why = report["availability"]["faults"][0]["why"].as_str().unwrap();
    assert!(why.contains("does not any more"), "{why}");
}

#[test]
fn the_doctor_forms_the_testbed_and_names_what_is_missing_elsewhere() {
    let _turn = turn();
    let store = tempfile::tempdir().unwrap();
    let at = ["--store", store.path().to_str().unwrap()];
    let output = ended(binary().args(["doctor", "--json"]).args(at));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{found:#}");
    assert!(found["formation_ms"].as_u64().is_some(), "{found:#}");
    assert!(found["faults"].as_array().unwrap().iter().any(|fault| fault["fault"] == "kill"));

    let output = ended(
        binary()
            .args(["doctor", "--cluster", "chronik", "--binary", "/nowhere/chronik-server"])
            .args(at),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("/nowhere/chronik-server does not exist"));

    let said = stderr(&perjury(&["doctor", "--cluster", "attach", "-b", "127.0.0.1:1"]));
    assert!(said.contains("127.0.0.1:1"), "{said}");
}

/// As much of chronik-server as the doctor asks about.
const SERVER: &str = "#!/bin/sh
case \"$*\" in
  *--help*) printf 'Commands:\\n  start  Start\\n\\nOptions:\\n  -c, --config <CONFIG>\\n  --bind <BIND>\\n';;
  --version) echo 'chronik-server 2.10.4';;
esac
";

/// The doctor's words on each fault, asked by a user without rights; `None` where that user cannot be had.
fn faults_without_rights(args: &[&str]) -> Option<Value> {
    let perjury = env!("CARGO_BIN_EXE_perjury");
    let mut command = std::process::Command::new(perjury);
    if nix::unistd::geteuid().is_root() {
        command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", perjury]);
    }
    command.args(["doctor", "--no-start", "--json", "--store", "/nowhere"]).args(args);
    let output = ended_if_started(&mut command, Duration::from_secs(60)).ok()?;
    let found: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(found["faults"].clone())
}

#[test]
fn without_root_the_doctor_says_which_nodes_cannot_be_split_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let server = dir.path().join("chronik-server");
    std::fs::write(&server, SERVER).unwrap();
    for path in [dir.path(), &server] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let chronik = ["--cluster", "chronik", "--binary", server.to_str().unwrap()];
    let asked = [faults_without_rights(&[]), faults_without_rights(&chronik)];
    let [Some(testbed), Some(chronik)] = asked else {
        eprintln!("skipped: setpriv is missing, or this program cannot be run by others");
        return;
    };
    let of = |faults: &Value, name: &str| {
        let fault = faults.as_array().unwrap().iter().find(|fault| fault["fault"] == name).unwrap();
        (fault["possible"] == true, fault["why"].as_str().unwrap_or_default().to_owned())
    };
    for name in ["partition", "isolate", "one-way-in", "halves", "ring"] {
        assert!(of(&testbed, name).0, "{name}: the proxy is between the testbed's nodes");
        let (possible, why) = of(&chronik, name);
        assert!(!possible, "{name}");
        assert!(why.contains("past the proxy") && why.contains("root"), "{name}: {why}");
    }
    for name in ["loss", "disk-full", "disk-slow", "disk-error"] {
        let (possible, why) = of(&chronik, name);
        assert!(!possible && why.contains("root"), "{name}: {why}");
    }
    for name in ["kill", "pause", "lose-tail", "delay", "drop-response", "cut-fetch"] {
        assert!(of(&chronik, name).0, "{name}");
    }
}

#[test]
fn client_properties_are_translated_or_refused_with_a_hint() {
    let refused = |args: &[&str]| {
        let mut all = vec!["run", "--dry-run"];
        all.extend(args);
        let output = perjury(&all);
        assert_eq!(output.status.code(), Some(254), "{args:?}");
        stderr(&output)
    };
    assert!(refused(&["-X", "lingr.ms=5"]).contains("linger.ms"));
    let open = refused(&["-X", "sasl.password=hunter2"]);
    assert!(open.contains("env:NAME") && !open.contains("hunter2"), "{open}");
    assert!(refused(&["--plan", "no-such-plan"]).contains("raft-failover"));
    let fine = perjury(&["run", "--dry-run", "-X", "fetch.max.wait.ms=7"]);
    assert!(stdout(&fine).contains("\"fetch.wait.max.ms\": \"7\""), "{}", stdout(&fine));
}
