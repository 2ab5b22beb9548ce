//! Campaigns through the binary: from the plan file over the service to the runs on disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use support::{perjury, processes_of, stderr, stdout, turn};

fn plan(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("plan.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// `perjury campaign …` on this store.
fn campaign(store: &Path, args: &[&str]) -> std::process::Output {
    let mut all = vec!["campaign", "--store", store.to_str().unwrap()];
    all.extend(args);
    perjury(&all)
}

fn show(store: &Path, id: &str) -> Value {
    serde_json::from_str(&stdout(&campaign(store, &["show", id]))).unwrap()
}

/// A service that is ended when the test is over, however that comes about.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service on a free port, which is up.
fn service(store: &Path) -> Service {
    let mut child = support::binary()
        .args(["serve", "--bind", "127.0.0.1:0", "--store", store.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("serving"), "{line}");
    Service(child)
}

fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let done = (0..900).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        reached()
    });
    assert!(done, "{what} did not come about");
}

#[test]
fn a_dry_run_prints_the_plans_that_perjury_run_would_make() {
    let dir = tempfile::tempdir().unwrap();
    let file = plan(dir.path(), "name = \"a\"\nseeds = [4]\n");
    let dry = campaign(dir.path(), &["run", "--dry-run", file.to_str().unwrap()]);
    let dry: Value = serde_json::from_str(&stdout(&dry)).unwrap();
    let single = perjury(&["run", "--dry-run", "--seed", "4", "--name", "a"]);
    let single: Value = serde_json::from_str(&stdout(&single)).unwrap();
    assert_eq!(dry["runs"][0]["plan"], single);
}

#[test]
fn a_dry_run_tells_the_runs_that_have_no_time_for_their_faults() {
    let dir = tempfile::tempdir().unwrap();
    let text = "name = \"a\"\nseeds = [4]\n[run]\ntime_limit = \"12s\"\nnemesis = [\"kill\", \"pause\", \"restart\"]\n";
    let file = plan(dir.path(), text);
    let dry = campaign(dir.path(), &["run", "--dry-run", file.to_str().unwrap()]);
    assert!(stderr(&dry).contains("there is no time for"), "{}", stderr(&dry));
    serde_json::from_str::<Value>(&stdout(&dry)).unwrap();
    let args = ["run", "--dry-run", "--time-limit", "12s", "--nemesis", "kill,pause,restart"];
    assert!(stderr(&perjury(&args)).contains("there is no time for"));
}

#[test]
fn bad_plans_and_unknown_campaigns_are_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = plan(dir.path(), "name = \"a\"\n[run]\nspeed = 9\n");
    let refused = campaign(dir.path(), &["run", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(254), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("line 3"), "{}", stderr(&refused));
    let missing = campaign(dir.path(), &["run", "no-such-plan"]);
    assert!(stderr(&missing).contains("first-look"), "{}", stderr(&missing));
    let unknown = campaign(dir.path(), &["cancel", "nothing"]);
    assert_eq!(unknown.status.code(), Some(254));
    let run = perjury(&["replay", "no/run", "--store", dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(254), "{}", stderr(&run));
}

#[test]
fn a_token_is_shown_once_and_can_be_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let token = |args: &[&str]| {
        let mut all = vec!["token", "--store", dir.path().to_str().unwrap()];
        all.extend(args);
        perjury(&all)
    };
    let made = stdout(&token(&["create", "ci", "--role", "read"]));
    assert!(made.starts_with("perjury_") && made.trim().len() > 60, "{made}");
    let listed = stdout(&token(&["list"]));
    assert!(listed.contains("ci\tread") && !listed.contains(made.trim()), "{listed}");
    assert_eq!(token(&["revoke", "ci"]).status.code(), Some(0));
    assert_eq!(token(&["revoke", "ci"]).status.code(), Some(254));
}

#[test]
fn a_service_that_is_killed_leaves_no_process_and_its_successor_ends_what_it_began() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let file = plan(
        dir.path(),
        "name = \"real\"\nrerun_interrupted = true\n[run]\ntime_limit = \"8s\"\nrate = 200\nconcurrency = 4\n\
         nemesis_interval = \"2s\"\nfault_duration = \"1s\"\n",
    );
    let handed_in = campaign(&store, &["run", "--detach", file.to_str().unwrap()]);
    let id = stdout(&handed_in).trim().to_owned();
    let mut first = service(&store);
    let history = |()| {
        let run = show(&store, &id)["runs"][0]["run"].as_str().map(str::to_owned);
        run.map(|r| {
            std::fs::read_to_string(store.join(r).join("history.jsonl")).unwrap_or_default()
        })
    };
    eventually("an operation", || history(()).is_some_and(|h| h.contains("\"type\":\"ok\"")));
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    // The run hears that its service is gone, ends its cluster and checks what it recorded.
    eventually("an end of all processes", || processes_of(&store).is_empty());
    let cut_short = show(&store, &id)["runs"][0]["run"].as_str().unwrap().to_owned();
    assert!(store.join(&cut_short).join("report.json").exists());

    let mut second = service(&store);
    eventually("an end of the campaign", || show(&store, &id)["state"] == "done");
    let done = show(&store, &id);
    assert_eq!(done["runs"][0]["earlier"], serde_json::json!([cut_short]));
    assert_eq!(done["counts"]["done"], 1, "{done:#}");
    assert_eq!(done["counts"]["total"], 1, "{done:#}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(second.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(second.0.wait().unwrap().code(), Some(0), "a service ends well when it is asked to");
    assert_eq!(processes_of(&store), Vec::<i32>::new());
}
