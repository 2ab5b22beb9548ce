//! The service is killed at random moments of a campaign: no run is lost, none counts twice, and the index says what the
//! directories say.
//!
//! The service is this test binary, started again as a child that executes campaigns whose runs are simulated.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use async_trait::async_trait;
use chrono::Utc;
use perjury_campaign::{
    Campaign, CampaignState, Executor, Queue, RunState, Shelf, Until, Wanted, judge_file,
    parse_plan,
};
use perjury_checker::Options;
use perjury_history::jsonl;
use perjury_store::{Index, RunDir, Store};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const STORE: &str = "PERJURY_TEST_STORE";
const KILLS: usize = 20;

/// Writes a simulated history in parts, judges it and says that it is complete.
struct Simulated {
    pause: Duration,
}

#[async_trait]
impl Executor for Simulated {
    async fn execute(&self, dir: &RunDir, stop: &CancellationToken) -> Result<(), String> {
        let options = perjury_sim::Options::sized(120, 7);
        let (history, _) = perjury_sim::generate(&options);
        let mut text = Vec::new();
        jsonl::write(&history, &mut text).map_err(|e| e.to_string())?;
        let mut file = std::fs::File::create(dir.history_path()).map_err(|e| e.to_string())?;
        for part in text.chunks(text.len() / 8 + 1) {
            file.write_all(part).map_err(|e| e.to_string())?;
            tokio::time::sleep(self.pause).await;
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        let (_, report) =
            judge_file(&dir.history_path(), &Options::default()).map_err(|e| e.to_string())?;
        dir.write_report(&report).map_err(|e| e.to_string())?;
        dir.mark_complete(Utc::now()).map_err(|e| e.to_string())
    }
}

fn queue(root: &Path, pause_ms: u64) -> Queue {
    let store = Arc::new(Store::open(root).unwrap());
    let executor = Simulated { pause: Duration::from_millis(pause_ms) };
    Queue::new(Shelf::open(store).unwrap(), Arc::new(executor), Options::default())
}

/// Hands a campaign of simulated runs in.
fn submit(shelf: &Shelf, toml: &str) -> Campaign {
    let plan = parse_plan(toml).unwrap();
    let runs = plan.expand(&|id| Err(id.to_owned())).unwrap();
    shelf.create(&plan.name, toml, plan.rerun_interrupted, &runs, Utc::now()).unwrap()
}

/// The service, when this binary was started as one.
#[tokio::test]
async fn service() {
    let Some(root) = std::env::var_os(STORE) else { return };
    let queue = queue(Path::new(&root), 4);
    queue.work(&CancellationToken::new(), &Until::Stopped).await.unwrap();
}

/// Every directory belongs to exactly one run of the campaign, and the index shows just the directories.
fn nothing_lost_nothing_twice(root: &Path, campaign: &Campaign) {
    let store = Arc::new(Store::open(root).unwrap());
    let mut named: Vec<String> = Vec::new();
    for run in &campaign.runs {
        named.extend(run.run.iter().chain(&run.earlier).cloned());
    }
    let unique: BTreeSet<&String> = named.iter().collect();
    assert_eq!(unique.len(), named.len(), "a directory counts for two runs");
    let listed = store.list().unwrap();
    let on_disk: BTreeSet<&String> = listed.iter().map(|r| &r.id).collect();
    assert!(on_disk.is_subset(&unique), "a directory belongs to no run");
    let index = Index::open(Arc::clone(&store)).unwrap();
    index.refresh().unwrap();
    assert_eq!(index.all().unwrap(), listed, "the index equals the directories");
}

#[tokio::test]
async fn killed_at_twenty_random_moments_the_service_loses_no_run_and_counts_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let shelf = Shelf::open(Arc::new(Store::open(&root).unwrap())).unwrap();
    let toml = "name = \"killed\"\nrepeats = 3\nseeds = { from = 1, count = 16 }\nrerun_interrupted = true\n";
    let id = submit(&shelf, toml).id;
    let mut rng = ChaCha8Rng::seed_from_u64(0x5eed);
    for kill in 0..KILLS {
        let mut service = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "service", "--nocapture"])
            .env(STORE, &root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..260))).await;
        service.kill().unwrap();
        service.wait().unwrap();
        let campaign = shelf.load(&id).unwrap();
        assert_eq!(campaign.runs.len(), 48, "kill {kill}");
        nothing_lost_nothing_twice(&root, &campaign);
    }
    let queue = queue(&root, 0);
    queue.work(&CancellationToken::new(), &Until::Over(id.clone())).await.unwrap();
    let campaign = shelf.load(&id).unwrap();
    nothing_lost_nothing_twice(&root, &campaign);
    let counts = campaign.counts();
    assert_eq!((counts.total, counts.done + counts.interrupted), (48, 48), "{counts:?}");
    assert!(counts.done >= 40, "{counts:?}");
    assert!(
        campaign
            .runs
            .iter()
            .all(|r| r.run.is_some() && (r.verdict.is_some() || r.state == RunState::Interrupted))
    );
    // Whatever a kill cut short is marked, and where there was a history, judged.
    for line in shelf.store().list().unwrap() {
        let is_current = campaign.runs.iter().any(|r| r.run.as_ref() == Some(&line.id));
        if is_current && line.status.as_str() != "complete" {
            assert_eq!(line.status.as_str(), "interrupted", "{line:?}");
        }
        assert!(line.verdict.is_some() || line.operations.is_none(), "{line:?}");
    }
}

#[tokio::test]
async fn a_campaign_is_paused_resumed_and_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Arc::new(queue(dir.path(), 3));
    let shelf = queue.shelf().clone();
    let first = submit(&shelf, "name = \"first\"\nrepeats = 3").id;
    let second = submit(&shelf, "name = \"second\"\nrepeats = 500").id;
    assert_eq!(shelf.want(&first, Wanted::Pause).unwrap().state, CampaignState::Paused);
    let (stop, worker) = (CancellationToken::new(), Arc::clone(&queue));
    let halt = stop.clone();
    let working = tokio::spawn(async move { worker.work(&halt, &Until::Stopped).await });
    let reached = async |id: &str, what: &dyn Fn(&Campaign) -> bool| {
        for _ in 0..1500 {
            if what(&shelf.load(id).unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", shelf.load(id).unwrap().counts());
    };
    // The second goes on while the first is paused; a cancel cuts the run under way short.
    reached(&second, &|c| c.counts().done >= 2).await;
    shelf.want(&second, Wanted::Cancel).unwrap();
    reached(&second, &|c| c.state == CampaignState::Cancelled).await;
    assert_eq!(shelf.want(&second, Wanted::Run).unwrap().state, CampaignState::Cancelled);
    assert_eq!(shelf.load(&first).unwrap().counts().queued, 3);
    shelf.want(&first, Wanted::Run).unwrap();
    queue.wake(&first);
    reached(&first, &|c| c.state == CampaignState::Done).await;
    // One executor at a time.
    assert!(shelf.lock().unwrap().is_none());
    stop.cancel();
    working.await.unwrap().unwrap();
    assert!(shelf.lock().unwrap().is_some());
}

#[tokio::test]
async fn an_executor_that_makes_nothing_leaves_an_interrupted_run_with_its_reason() {
    struct Broken;
    #[async_trait]
    impl Executor for Broken {
        async fn execute(&self, _: &RunDir, _: &CancellationToken) -> Result<(), String> {
            Err("no cluster today".into())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(Arc::new(Store::open(dir.path()).unwrap())).unwrap();
    let queue = Queue::new(shelf.clone(), Arc::new(Broken), Options::default());
    let id = submit(&shelf, "name = \"broken\"\nrerun_interrupted = true").id;
    queue.work(&CancellationToken::new(), &Until::Over(id.clone())).await.unwrap();
    let campaign = shelf.load(&id).unwrap();
    assert_eq!(campaign.state, CampaignState::Interrupted);
    assert_eq!(campaign.runs[0].problem.as_deref(), Some("no cluster today"));
    assert_eq!(campaign.estimate().judged, 0);
}

#[test]
fn the_queue_is_bounded_and_identifiers_lead_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(Arc::new(Store::open(dir.path()).unwrap())).unwrap();
    for _ in 0..perjury_campaign::UNFINISHED_MAX {
        submit(&shelf, "name = \"a\"");
    }
    let plan = parse_plan("name = \"a\"").unwrap();
    let runs = plan.expand(&|id| Err(id.to_owned())).unwrap();
    let full = shelf.create("a", "", false, &runs, Utc::now()).unwrap_err();
    assert!(full.to_string().contains("cancel some"), "{full}");
    for bad in ["", "..", "../x", ".making-x", "a/b", "executor.lock"] {
        assert!(shelf.load(bad).is_err(), "{bad}");
    }
}
