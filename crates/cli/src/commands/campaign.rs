//! `perjury campaign`: many runs from one plan file.

use crate::exit::{self, usage};
use crate::stores;
use anyhow::Result;
use chrono::Utc;
use clap::Subcommand;
use perjury_campaign::{
    Campaign, CampaignPlan, Change, PlanError, ProcessExecutor, Queue, Resolved, Shelf, ShelfError,
    Until, Wanted, never_injected, parse_plan, plan_schema,
};
use perjury_checker::{Options, Verdict};
use perjury_store::{RunId, Store};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Arguments of `perjury campaign`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE", global = true)]
    store: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Make the runs of a plan file, and wait until they are made. The exit code is that of the worst verdict.
    Run {
        /// A plan file, TOML; or the name of one that comes along: `perjury campaign plans` lists them.
        plan: String,
        /// The campaign's name, instead of the one in the file.
        #[arg(long)]
        name: Option<String>,
        /// Print the runs with their resolved plans, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Hand it in and return; a `perjury serve` on the same store makes the runs.
        #[arg(long)]
        detach: bool,
    },
    /// List the campaigns, newest first.
    List,
    /// Show one campaign with its runs.
    Show {
        /// Its identifier.
        id: String,
    },
    /// Start no further run until it is resumed; the run under way ends by itself.
    Pause {
        /// Its identifier.
        id: String,
    },
    /// Go on with a paused campaign.
    Resume {
        /// Its identifier.
        id: String,
    },
    /// Give it up: the run under way is cut short and checked, the others are never started.
    Cancel {
        /// Its identifier.
        id: String,
    },
    /// List the plans that come along, or print one.
    Plans {
        /// The one to print.
        name: Option<String>,
    },
    /// Print the JSON Schema of a plan file.
    Schema,
}

pub(crate) fn run(args: Args, quiet: bool) -> Result<ExitCode> {
    let open = |store: Result<Store>| -> Result<Shelf> { Ok(Shelf::open(Arc::new(store?))?) };
    let shelf = || open(stores::there(&args.store));
    match args.command {
        Command::Schema => print(&plan_schema())?,
        Command::Plans { name } => return plans(name.as_deref()),
        Command::List => {
            let campaigns = shelf()?.list();
            if campaigns.is_empty() && !quiet {
                eprintln!("no campaign was handed in yet; `perjury campaign run PLAN` begins one");
            }
            for c in campaigns {
                let n = c.counts();
                println!(
                    "{}\t{}\t{} of {} made\t{} invalid, {} valid, {} unknown",
                    c.id,
                    c.state.as_str(),
                    n.done + n.interrupted,
                    n.total,
                    n.invalid,
                    n.valid,
                    n.unknown
                );
            }
        }
        Command::Show { id } => {
            let campaign = shelf()?.load(&id).map_err(unknown)?;
            print(&described(&campaign))?;
        }
        Command::Pause { id } => steer(&shelf()?, &id, Wanted::Pause)?,
        Command::Resume { id } => steer(&shelf()?, &id, Wanted::Run)?,
        Command::Cancel { id } => steer(&shelf()?, &id, Wanted::Cancel)?,
        Command::Run { plan, name, dry_run, detach } => {
            let shelf = open(stores::made(&args.store))?;
            let toml = text(&plan)?;
            let (plan, runs) = resolve(shelf.store(), &toml, name).map_err(told)?;
            if dry_run {
                for run in &runs {
                    if let Some(note) = never_injected(&run.plan) {
                        crate::output::tell(&format!("note    {}: {note}", run.summary));
                    }
                }
                print(&json!({"name": plan.name, "runs": runs}))?;
                return Ok(ExitCode::SUCCESS);
            }
            return hand_in(shelf, &plan, &toml, &runs, detach, quiet);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(value: &Value) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn described(campaign: &Campaign) -> Value {
    let mut value = json!(campaign);
    value["counts"] = json!(campaign.counts());
    value["estimate"] = json!(campaign.estimate());
    value
}

fn plans(name: Option<&str>) -> Result<ExitCode> {
    let Some(name) = name else {
        for plan in perjury_campaign::NAMED_PLANS {
            println!("{}\t{}", plan.name, plan.summary);
        }
        return Ok(ExitCode::SUCCESS);
    };
    println!("{}", named(name).ok_or_else(|| usage(no_such(name)))?);
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Option<&'static str> {
    perjury_campaign::NAMED_PLANS.iter().find(|p| p.name == name).map(|p| p.toml)
}

fn no_such(name: &str) -> String {
    let names: Vec<&str> = perjury_campaign::NAMED_PLANS.iter().map(|p| p.name).collect();
    format!("there is no plan {name:?}; those that come along are: {}", names.join(", "))
}

/// The content of a plan file, or of a plan that comes along.
fn text(plan: &str) -> Result<String> {
    match std::fs::read_to_string(plan) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => named(plan)
            .map(str::to_owned)
            .ok_or_else(|| usage(format!("there is no file {plan}, and {}", no_such(plan)))),
        Err(e) => Err(usage(format!("cannot read the plan {plan}: {e}"))),
    }
}

fn resolve(
    store: &Store,
    toml: &str,
    name: Option<String>,
) -> Result<(CampaignPlan, Vec<Resolved>), Vec<PlanError>> {
    let mut plan = parse_plan(toml).map_err(|e| vec![e])?;
    if let Some(name) = name {
        plan.name = name;
    }
    let earlier = |id: &str| -> Result<Value, String> {
        let id: RunId = id.parse().map_err(|e: perjury_store::BadId| e.to_string())?;
        let found = store.run_dir(&id).and_then(|dir| dir.plan()).map_err(|e| e.to_string())?;
        found.ok_or_else(|| format!("the run {id} has no plan.json"))
    };
    let runs = plan.expand(&earlier)?;
    Ok((plan, runs))
}

fn told(errors: Vec<PlanError>) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    usage(format!("the plan makes no sense:\n  {}", lines.join("\n  ")))
}

fn unknown(error: ShelfError) -> anyhow::Error {
    let hint = match error {
        ShelfError::NoSuchCampaign { .. } => "; `perjury campaign list` names them",
        _ => "",
    };
    usage(format!("{error}{hint}"))
}

/// Says what is wanted. Where nobody executes campaigns, it takes effect here.
fn steer(shelf: &Shelf, id: &str, wanted: Wanted) -> Result<()> {
    let campaign = shelf.want(id, wanted).map_err(unknown)?;
    println!("{}\t{}", campaign.id, campaign.state.as_str());
    Ok(())
}

/// Hands the campaign in and, unless detached, waits for it. Where no service executes the campaigns of this store, this
/// process does.
fn hand_in(
    shelf: Shelf,
    plan: &CampaignPlan,
    toml: &str,
    runs: &[Resolved],
    detach: bool,
    quiet: bool,
) -> Result<ExitCode> {
    let campaign = shelf
        .create(&plan.name, toml, plan.rerun_interrupted, runs, Utc::now())
        .map_err(|e| usage(e.to_string()))?;
    println!("{}", campaign.id);
    if detach {
        return Ok(ExitCode::SUCCESS);
    }
    let id = campaign.id;
    let executor = executor(shelf.store().root())?;
    let queue = Queue::new(shelf.clone(), Arc::new(executor), Options::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let worked = runtime.block_on(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                on_signal.cancel();
            }
        });
        let (mut changes, seen) = (queue.changes(), shelf.clone());
        let telling = tokio::spawn(async move {
            while let Ok(change) = changes.recv().await {
                if let (Change::Campaign(id), false) = (&change, quiet) {
                    tell(&seen, id);
                }
            }
        });
        let worked = loop {
            let worked = queue.work(&stop, &Until::Over(id.clone())).await;
            let over = shelf.load(&id).map_or(true, |c| c.state.is_over());
            if worked.is_err() || over || stop.is_cancelled() || is_paused(&shelf, &id) {
                break worked;
            }
        };
        telling.abort();
        worked
    });
    worked?;
    let campaign = shelf.load(&id)?;
    Ok(exit::of(worst(&campaign)))
}

fn is_paused(shelf: &Shelf, id: &str) -> bool {
    shelf.wanted(id) == Wanted::Pause
}

fn tell(shelf: &Shelf, id: &str) {
    let Ok(campaign) = shelf.load(id) else { return };
    let n = campaign.counts();
    eprintln!(
        "{id}: {} of {} made, {} invalid, {} valid, {} unknown",
        n.done + n.interrupted,
        n.total,
        n.invalid,
        n.valid,
        n.unknown
    );
}

/// Runs are made by this very program.
pub(super) fn executor(store: &Path) -> Result<ProcessExecutor> {
    Ok(ProcessExecutor { program: std::env::current_exe()?, store: store.to_owned() })
}

/// Invalid beats unknown beats valid; a run without a verdict is unknown.
fn worst(campaign: &Campaign) -> Verdict {
    let counts = campaign.counts();
    match counts {
        c if c.invalid > 0 => Verdict::Invalid,
        c if c.valid < c.total => Verdict::Unknown,
        _ => Verdict::Valid,
    }
}
