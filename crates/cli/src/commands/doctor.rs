//! `perjury doctor`: says what would keep a cluster from forming, and tries it.

use super::cluster::ClusterArgs;
use crate::exit::{self, usage};
use anyhow::Result;
use perjury_campaign::{CampaignError, Say};
use perjury_cluster::doctor::{self, Finding, Severity};
use perjury_cluster::privileges::privileges_of_nodes;
use perjury_cluster::{
    Cluster, Driver, FaultKind, FormationError, GuardCommand, LikelyCause, RunContext, compare,
};
use perjury_worker::plan::ClientSettings;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Arguments of `perjury doctor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Only look; start nothing.
    #[arg(long)]
    no_start: bool,
    /// Compare two configurations instead: files or folders, such as those of two runs.
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    compare: Option<Vec<PathBuf>>,
    /// The folder that holds the runs: what a run that was killed left behind is undone.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Tells people on stderr what goes on.
struct Stderr(bool);

impl Say for Stderr {
    fn say(&self, text: &str) {
        if !self.0 {
            crate::output::tell(text);
        }
    }
}

/// What was found.
#[derive(Default)]
struct Diagnosis {
    findings: Vec<Finding>,
    faults: Vec<(FaultKind, Result<(), String>)>,
    formation_ms: Option<u64>,
    failure: Option<Box<FormationError>>,
}

impl Diagnosis {
    fn is_bad(&self) -> bool {
        self.failure.is_some() || self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    fn json(&self) -> Value {
        let faults = self.faults.iter().map(|(fault, can)| {
            json!({ "fault": fault, "possible": can.is_ok(), "why": can.as_ref().err() })
        });
        json!({
            "schema": "perjury.doctor/1",
            "healthy": !self.is_bad(),
            "findings": self.findings,
            "faults": faults.collect::<Vec<_>>(),
            "formation_ms": self.formation_ms,
            "failure": self.failure,
        })
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        for finding in &self.findings {
            let how = if finding.severity == Severity::Error { "wrong" } else { "careful" };
            lines.push(format!("{how:<8}{}", finding.what));
            lines.push(format!("        to fix: {}", finding.fix));
        }
        if let Some(failure) = &self.failure {
            lines.push(format!("failed  {failure}"));
            if !failure.log_tail.is_empty() {
                lines.push("        its last lines:".to_owned());
                lines.extend(failure.log_tail.iter().map(|line| format!("          {line}")));
            }
        }
        if let Some(ms) = self.formation_ms {
            lines.push(format!("formed  in {ms} ms"));
        }
        for (fault, can) in &self.faults {
            let fault = fault.to_string();
            match can {
                Ok(()) => lines.push(format!("fault   {fault:<17} can be injected")),
                Err(why) => lines.push(format!("fault   {fault:<17} cannot: {why}")),
            }
        }
        let verdict = if self.is_bad() { "something is wrong" } else { "nothing is wrong" };
        lines.push(verdict.to_owned());
        lines.join("\n")
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    if let Some([left, right]) = args.compare.as_deref() {
        return compare_two(left, right, args.json);
    }
    let plan = args.cluster.plan()?;
    plan.validate().map_err(usage)?;
    let properties = args.cluster.client_properties()?;
    let clients = ClientSettings { properties, ..ClientSettings::default() };
    let this = std::env::current_exe()?;
    let say = Stderr(quiet);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let left_behind = leftovers(&args.store);
    let folder = std::env::temp_dir().join(format!("perjury-doctor-{}", std::process::id()));
    let diagnosis = runtime.block_on(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                on_signal.cancel();
            }
        });
        let guard = GuardCommand { program: this.clone(), args: vec!["guard".into()] };
        let context = RunContext::new(folder.clone(), Instant::now()).with_guard(guard);
        let driver = match perjury_campaign::driver(&plan, &clients, &this, context, &say).await {
            Ok(driver) => driver,
            Err(CampaignError::Preflight(why) | CampaignError::Plan(why)) => {
                return Err(usage(why));
            }
            Err(error) => return Err(error.into()),
        };
        let limit = Duration::from_millis(plan.formation_limit_ms);
        let cluster = Arc::new(Cluster::new(driver, perjury_campaign::options(&plan, &clients)));
        Ok(examine(&cluster, limit, args.no_start, &stop, &say).await)
    });
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let mut diagnosis = diagnosis?;
    diagnosis.findings.splice(0..0, left_behind);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&diagnosis.json())?);
    } else {
        println!("{}", diagnosis.text());
    }
    Ok(ExitCode::from(if diagnosis.is_bad() { exit::INVALID } else { exit::VALID }))
}

async fn examine(
    cluster: &Cluster,
    limit: Duration,
    no_start: bool,
    stop: &CancellationToken,
    say: &dyn Say,
) -> Diagnosis {
    let driver: &Arc<dyn Driver> = cluster.driver();
    let mut diagnosis = Diagnosis { findings: driver.preflight().await, ..Diagnosis::default() };
    diagnosis.findings.extend(doctor::check_clock());
    diagnosis.faults = faults(driver.as_ref()).await;
    if no_start || diagnosis.is_bad() {
        return diagnosis;
    }
    say.say(&format!("forming {} nodes of {}", driver.nodes().len(), driver.name()));
    let formed = tokio::select! {
        formed = perjury_campaign::form(cluster, limit, say) => Some(formed),
        () = stop.cancelled() => None,
    };
    match formed {
        Some(Ok(formation)) => {
            diagnosis.formation_ms = Some(formation.formation_ms);
            // Complaints such as of a peer that cannot be reached come a little after the cluster has formed.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
                () = stop.cancelled() => {}
            }
        }
        Some(Err(error)) => diagnosis.failure = Some(error),
        None => {}
    }
    diagnosis.findings.extend(driver.complaints());
    cluster.shutdown().await;
    diagnosis
}

/// What can be done to these nodes on this machine. A driver whose nodes live elsewhere answers for itself.
async fn faults(driver: &dyn Driver) -> Vec<(FaultKind, Result<(), String>)> {
    if let Some(local) = driver.local() {
        let peer_links = local.has_peer_links();
        // Each is tried out, so this blocks for a moment.
        let tried = tokio::task::spawn_blocking(move || privileges_of_nodes(peer_links));
        return tried.await.unwrap_or_default();
    }
    let signals = [FaultKind::Kill, FaultKind::Stop, FaultKind::Pause, FaultKind::Restart];
    signals.into_iter().map(|fault| (fault, driver.supports(fault))).collect()
}

/// Keeps what it is told.
#[derive(Default)]
struct Kept(Mutex<Vec<String>>);

impl Say for Kept {
    fn say(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }
}

/// Takes back what runs of this store that were killed have left on the machine, and tells it.
fn leftovers(store: &std::path::Path) -> Vec<Finding> {
    let kept = Kept::default();
    super::faults::undo_leftovers(store, &kept);
    let told = kept.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let fix = "nothing is left to do, unless it says that it cannot be taken back";
    let finding = |text| Finding::new(Severity::Warning, LikelyCause::known("leftover", text, fix));
    told.into_iter().map(finding).collect()
}

fn compare_two(left: &std::path::Path, right: &std::path::Path, as_json: bool) -> Result<ExitCode> {
    let differences = compare::compare(left, right).map_err(|error| usage(error.to_string()))?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&differences)?);
        return Ok(ExitCode::SUCCESS);
    }
    let or_unset = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
    let rows: Vec<[String; 3]> = differences
        .iter()
        .map(|d| [d.setting.clone(), or_unset(&d.left), or_unset(&d.right)])
        .collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [setting, left, right] in &rows {
        println!("{setting:<first$}  {left:<second$}  {right}");
    }
    if rows.is_empty() {
        println!("no setting differs");
    }
    Ok(ExitCode::SUCCESS)
}
