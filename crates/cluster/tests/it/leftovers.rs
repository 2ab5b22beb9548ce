//! Whatever happens to the parent, nothing stays behind.

use crate::support::{LONG, Rig, eventually, fixture, parent};
use perjury_cluster::drivers::testbed::{self, TestbedOptions};
use perjury_cluster::{
    Driver, DriverError, FaultKind, GuardCommand, NodeId, ProcessIdentity, ProcessSignal,
    RunContext, send, undo,
};
use std::process::Command;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_of_the_parent_the_guard_ends_running_and_stopped_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut parent, nodes) = parent(dir.path(), "pause");
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(ProcessIdentity::is_alive));
    assert!(nodes[1].is_stopped());

    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("all nodes end", || !nodes.iter().any(ProcessIdentity::is_alive)).await;
    let left = undo::replay(&dir.path().join(undo::FILE_NAME)).unwrap();
    assert_eq!(left.len(), 4, "three starts and one pause");
    assert!(left.iter().all(|undone| undone.outcome == undo::UndoOutcome::NothingLeft), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_cluster_without_shutdown_ends_its_nodes() {
    let rig = Rig::new(&["--ignore-stdin", "--ignore-term"]);
    rig.cluster.form(LONG).await.unwrap();
    let paused = rig.cluster.inject(FaultKind::Pause, &[NodeId(3)]).await;
    assert!(paused[0].1.as_ref().unwrap().witnessed);
    let processes = rig.processes().await;
    drop(rig);
    eventually("all nodes end", || !processes.iter().any(ProcessIdentity::is_alive)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_nodes_too() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let rig = Rig::new(&["--ignore-stdin"]);
        rig.cluster.form(LONG).await.unwrap();
        sender.send(rig.processes().await).unwrap();
        panic!("on purpose");
    });
    let processes = receiver.await.unwrap();
    assert!(task.await.unwrap_err().is_panic());
    eventually("all nodes end", || !processes.iter().any(ProcessIdentity::is_alive)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_resumes_and_ends_all_can_be_repeated_and_is_final() {
    let rig = Rig::new(&[]);
    rig.cluster.form(LONG).await.unwrap();
    rig.cluster.inject(FaultKind::Pause, &[NodeId(1)]).await.remove(0).1.unwrap();
    let processes = rig.processes().await;
    tokio::join!(rig.cluster.shutdown(), rig.cluster.shutdown());
    rig.cluster.shutdown().await;
    assert!(!processes.iter().any(ProcessIdentity::is_alive));
    let start = rig.driver.start(NodeId(1)).await.unwrap_err();
    assert!(matches!(start, DriverError::Closed | DriverError::NotPrepared), "{start}");
    assert!(matches!(rig.driver.prepare().await, Err(DriverError::Closed)));
    let journal = rig.dir.path().join("run").join(undo::FILE_NAME);
    assert_eq!(undo::pending(&journal).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_wrapper_script_end_with_it() {
    let rig = Rig::with(|options, dir| {
        let script = dir.join("server.sh");
        std::fs::write(&script, "sleep 600 & echo child $!; wait").unwrap();
        options.program = "sh".into();
        options.args_prefix = vec![script.to_string_lossy().into_owned()];
        options.nodes = 1;
    });
    rig.driver.prepare().await.unwrap();
    rig.driver.start(NodeId(1)).await.unwrap();
    eventually("the script names its child", || !rig.driver.log_tail(NodeId(1), 1).is_empty())
        .await;
    let line = rig.driver.log_tail(NodeId(1), 1).remove(0);
    let child: u32 = line.strip_prefix("child ").unwrap().parse().unwrap();
    let child = ProcessIdentity::of(child).unwrap();
    // Only the script is hit, as if it had crashed by itself.
    let script = rig.process(1).await;
    std::process::Command::new("kill").args(["-9", &script.pid.to_string()]).status().unwrap();
    eventually("the child ends", || !child.is_alive()).await;
    rig.cluster.shutdown().await;
}

fn options() -> TestbedOptions {
    TestbedOptions::new(fixture(), vec!["node".into()])
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_guard_nothing_is_paused() {
    let dir = tempfile::tempdir().unwrap();
    let context = RunContext::new(dir.path().to_path_buf(), Instant::now());
    let driver = testbed::driver(options(), context);
    driver.prepare().await.unwrap();
    driver.start(NodeId(1)).await.unwrap();
    assert!(driver.supports(FaultKind::Pause).is_err());
    let refused = driver.pause(NodeId(1)).await.unwrap_err();
    assert!(matches!(refused, DriverError::Unsupported { .. }), "{refused}");
    driver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_guard_is_found_out_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let guard = GuardCommand { program: "echo".into(), args: vec!["hello".into()] };
    let context = RunContext::new(dir.path().to_path_buf(), Instant::now()).with_guard(guard);
    let driver = testbed::driver(options(), context);
    let refused = driver.prepare().await.unwrap_err();
    assert!(refused.to_string().contains("hello"), "{refused}");
    driver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_ends_what_a_parent_without_a_guard_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(undo::FILE_NAME);
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let process = ProcessIdentity::of(child.id()).unwrap();
    let journal = undo::UndoJournal::open(&path).unwrap();
    journal.record(undo::Deed::Started { process }, Some(NodeId(1))).unwrap();
    journal.record(undo::Deed::Stopped { process }, Some(NodeId(1))).unwrap();
    send(process, ProcessSignal::Stop).unwrap();
    eventually("it stops", || process.is_stopped()).await;
    let report = undo::replay(&path).unwrap();
    let outcomes: Vec<_> = report.into_iter().map(|undone| undone.outcome).collect();
    assert_eq!(outcomes, [undo::UndoOutcome::Resumed, undo::UndoOutcome::Killed]);
    child.wait().unwrap();
    assert!(!process.is_alive());
}
