//! Faults beyond signals on real processes: seen when they bite, gone when they are healed, and
//! taken back after a crash. What needs a right that the test does not have says so and is left out.

use crate::support::{LONG, Rig, eventually, parent};
use perjury_cluster::privileges::privileges;
use perjury_cluster::proxy::{Direction, FrameAction, FrameRule};
use perjury_cluster::{
    Driver, FaultKind, FaultSettings, FaultSpec, KafkaProbe, MetadataProbe, NodeId, Placement,
    Plane, ProcessIdentity, undo,
};
use std::path::Path;
use std::time::Duration;

const ALL: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// Whether this test may inject a fault as root would; tells why it is skipped otherwise.
fn possible(fault: FaultKind, as_root: bool) -> bool {
    let root = !as_root || nix_is_root();
    let judged = privileges().into_iter().find(|(other, _)| *other == fault);
    let outcome = judged.map_or(Err("it is not known".to_owned()), |(_, outcome)| outcome);
    match outcome {
        Ok(()) if root => true,
        Ok(()) => {
            eprintln!("skipped: {fault} in namespaces needs root");
            false
        }
        Err(why) => {
            eprintln!("skipped: {fault}: {why}");
            false
        }
    }
}

fn nix_is_root() -> bool {
    perjury_cluster::privileges::namespaces().is_ok()
}

fn rig(placement: Placement) -> Rig {
    Rig::placed(placement, |options, dir| {
        let metadata = dir.join("metadata.json").to_string_lossy().into_owned();
        options.args_prefix.extend(["--metadata".to_owned(), metadata]);
    })
}

/// Injects a fault and heals it; both must be seen.
async fn injected_and_healed(rig: &Rig, fault: &FaultSpec, victims: &[NodeId]) {
    for (node, outcome) in rig.cluster.apply(fault, victims).await {
        let witness = outcome.unwrap();
        assert!(witness.witnessed, "{} of node {node}: {}", fault.kind, witness.why);
    }
    for (node, outcome) in rig.cluster.heal(fault, victims).await {
        let witness = outcome.unwrap();
        assert!(witness.witnessed, "healing {} of node {node}: {}", fault.kind, witness.why);
    }
}

fn namespaces() -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn mounts_below(dir: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let dir = dir.to_string_lossy().into_owned();
    table.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn splits_between_namespaces_are_seen_from_inside_and_leave_nothing() {
    if !possible(FaultKind::Loss, true) {
        return;
    }
    let rig = rig(Placement { namespaces: true, ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    let own: Vec<String> = ALL
        .iter()
        .map(|node| {
            rig.driver.local().unwrap().namespaces().unwrap().namespace(*node).unwrap().into()
        })
        .collect();
    assert!(own.iter().all(|name| namespaces().contains(name)));
    use FaultKind::{Halves, Isolate, OneWayIn, OneWayOut, Partition, Ring};
    for kind in [Partition, Isolate, OneWayIn, OneWayOut, Halves, Ring] {
        injected_and_healed(&rig, &kind.into(), &ALL[..1]).await;
    }
    let refused = rig.cluster.apply(&Partition.into(), &ALL).await.remove(0).1.unwrap_err();
    assert!(refused.to_string().contains("nobody is left"), "{refused}");
    rig.cluster.shutdown().await;
    assert!(!own.iter().any(|name| namespaces().contains(name)));
    let journal = rig.dir.path().join("run").join(undo::FILE_NAME);
    assert_eq!(undo::pending(&journal).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_root_the_proxy_splits_nodes_and_clients() {
    let rig = rig(Placement { proxy: true, ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    rig.play(1, 1, 0, &[1, 2, 3]);
    let probe = KafkaProbe::new(Duration::from_secs(5));
    let address = rig.driver.address(NodeId(2)).unwrap();
    let metadata = probe.metadata(&address).await.unwrap();
    for broker in &metadata.brokers {
        let told = format!("{}:{}", broker.host, broker.port);
        assert_eq!(Some(told), rig.driver.address(broker.id), "clients are led to the links");
    }
    use FaultKind::{Isolate, OneWayIn, Partition};
    for kind in [Partition, Isolate, OneWayIn] {
        injected_and_healed(&rig, &kind.into(), &ALL[1..2]).await;
    }
    assert!(rig.cluster.supports(FaultKind::Loss).unwrap_err().contains("--network namespaces"));
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_delays_links_and_drops_holds_and_counts_frames() {
    let rig = rig(Placement { proxy: true, ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    for kind in [FaultKind::Delay, FaultKind::Reorder] {
        injected_and_healed(&rig, &kind.into(), &ALL[..1]).await;
    }
    // The observer asks for metadata all the time: its questions are the frames that are hit.
    let settings =
        FaultSettings { api: Some("Metadata".to_owned()), frames: 2, ..FaultSettings::default() };
    use FaultKind::{DropRequest, DropResponse, DuplicateRequest, HoldRequest, HoldResponse};
    for kind in [DropRequest, DropResponse, DuplicateRequest, HoldRequest, HoldResponse] {
        let fault = FaultSpec { kind, settings: settings.clone() };
        injected_and_healed(&rig, &fault, &ALL[..1]).await;
    }
    // Nobody fetches here, so that nothing is hit and nothing is witnessed.
    let outcome = rig.cluster.apply(&FaultKind::CutFetch.into(), &ALL[..1]).await.remove(0).1;
    assert!(!outcome.unwrap().witnessed);
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_frames_go_on_when_their_rule_goes() {
    let rig = rig(Placement { proxy: true, ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    let link = rig.driver.local().unwrap().proxy().unwrap().of_clients(NodeId(1)).unwrap();
    let metadata = perjury_cluster::proxy::api_number("Metadata").unwrap();
    let (direction, action) = (Direction::Down, FrameAction::Hold);
    link.add_rule(FrameRule { api: metadata, direction, action, frames: None });
    let probe = KafkaProbe::new(LONG);
    let address = link.address().to_string();
    let asked = tokio::spawn(async move { probe.metadata(&address).await });
    eventually("the answer is held", || link.counts().hit > 0).await;
    assert!(!asked.is_finished());
    link.clear_rules();
    assert!(asked.await.unwrap().is_ok());
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_its_own_fills_slows_and_breaks() {
    if !possible(FaultKind::DiskFull, true) {
        return;
    }
    let rig = rig(Placement { disk_mib: Some(24), ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    let data = rig.driver.local().unwrap().data_dir(NodeId(1));
    std::fs::write(data.join("kept"), "kept").unwrap();
    for kind in [FaultKind::DiskFull, FaultKind::DiskSlow, FaultKind::DiskError] {
        injected_and_healed(&rig, &kind.into(), &ALL[..1]).await;
        std::fs::write(data.join("works"), "again").unwrap();
    }
    assert_eq!(std::fs::read_to_string(data.join("kept")).unwrap(), "kept");
    assert!(rig.process(1).await.is_alive(), "healing a broken disk starts the node again");
    rig.cluster.shutdown().await;
    assert_eq!(mounts_below(rig.dir.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_s_clock_jumps_and_no_other_s() {
    if !possible(FaultKind::ClockSkew, false) {
        return;
    }
    let rig = rig(Placement { clock: true, ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    injected_and_healed(&rig, &FaultKind::ClockSkew.into(), &ALL[..1]).await;
    rig.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_s_files_lose_their_tail_or_a_bit_and_the_original_is_kept() {
    let rig = rig(Placement::default());
    rig.cluster.form(LONG).await.unwrap();
    let partition = rig.driver.local().unwrap().data_dir(NodeId(1)).join("t-0");
    let log = partition.join("00000000000000000000.log");
    std::fs::create_dir_all(&partition).unwrap();
    std::fs::write(&log, [7; 1000]).unwrap();
    injected_and_healed(&rig, &FaultKind::LoseTail.into(), &ALL[..1]).await;
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 600);
    injected_and_healed(&rig, &FaultKind::BitFlip.into(), &ALL[..1]).await;
    assert_ne!(std::fs::read(&log).unwrap(), [7; 600]);
    // Without a log file there is nothing to lose, and nothing is witnessed.
    let outcome = rig.cluster.apply(&FaultKind::LoseTail.into(), &ALL[1..2]).await.remove(0).1;
    assert!(!outcome.unwrap().witnessed);
    rig.cluster.shutdown().await;
}

/// Starts a parent that injects these faults at the same time and is killed with SIGKILL; replays its journal.
async fn killed_in_the_middle_of(faults: &[FaultKind]) {
    let dir = tempfile::tempdir().unwrap();
    let before = namespaces();
    let names: Vec<&str> = faults.iter().map(|fault| fault.as_str()).collect();
    let names = names.join(",");
    let (mut parent, nodes) = parent(dir.path(), &names);
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(nodes.len(), 3, "{names}");
    let undone = undo::replay(&dir.path().join(undo::FILE_NAME)).unwrap();
    let failed = |undone: &undo::Undone| {
        matches!(undone.outcome, undo::UndoOutcome::Failed(_) | undo::UndoOutcome::InUse)
    };
    assert!(!undone.iter().any(failed), "{names}: {undone:?}");
    eventually("all nodes end", || !nodes.iter().any(ProcessIdentity::is_alive)).await;
    let own = |undone: &undo::Undone| match &undone.entry.deed {
        undo::Deed::Namespace { name } => Some(name.clone()),
        _ => None,
    };
    let made: Vec<String> = undone.iter().filter_map(own).collect();
    assert!(!made.iter().any(|name| before.contains(name) || namespaces().contains(name)));
    assert_eq!(mounts_below(dir.path()), Vec::<String>::new(), "{names}");
    assert_eq!(undo::pending(&dir.path().join(undo::FILE_NAME)).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_in_the_middle_of_each_kind_of_fault_a_replay_restores_the_machine() {
    let of = |planes: &[Plane]| -> Vec<FaultKind> {
        FaultKind::BREAKING.into_iter().filter(|kind| planes.contains(&kind.plane())).collect()
    };
    // Three at a time, one a node, of those that end or stop a process; the others get along with each other.
    let mut groups: Vec<Vec<FaultKind>> =
        of(&[Plane::Process, Plane::Files]).chunks(3).map(<[_]>::to_vec).collect();
    groups
        .extend([&[Plane::Frames][..], &[Plane::Network], &[Plane::Disk], &[Plane::Clock]].map(of));
    let covered: usize = groups.iter().map(Vec::len).sum();
    assert_eq!(covered, FaultKind::BREAKING.len());
    for group in groups {
        let first = group[0];
        let as_root = matches!(first.plane(), Plane::Network | Plane::Disk);
        if group.iter().all(|fault| possible(*fault, as_root)) {
            killed_in_the_middle_of(&group).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn splits_overlap_and_each_heals_its_own() {
    let rig = rig(Placement { proxy: true, ..Placement::default() });
    rig.cluster.form(LONG).await.unwrap();
    let (one, other) = (FaultKind::OneWayIn.into(), FaultKind::Isolate.into());
    let seen = async |healed: bool, fault: &FaultSpec, node: NodeId| {
        let done = if healed {
            rig.cluster.heal(fault, &[node]).await
        } else {
            rig.cluster.apply(fault, &[node]).await
        };
        let witness = done.into_iter().next().unwrap().1.unwrap();
        assert!(witness.witnessed, "{} of node {node}: {}", fault.kind, witness.why);
    };
    seen(false, &one, NodeId(1)).await;
    seen(false, &other, NodeId(2)).await;
    seen(true, &one, NodeId(1)).await;
    // Node 2 is still cut off from its clients.
    let probe = KafkaProbe::new(Duration::from_millis(500));
    assert!(probe.metadata(&rig.driver.address(NodeId(2)).unwrap()).await.is_err());
    seen(true, &other, NodeId(2)).await;
    assert!(probe.metadata(&rig.driver.address(NodeId(2)).unwrap()).await.is_ok());
    rig.cluster.shutdown().await;
}
