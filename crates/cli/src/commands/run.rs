//! `perjury run`: form a cluster, break it while clients write and read, and judge what it promised.

use super::check::Judging;
use super::faults::FaultArgs;
use crate::duration::{millis, parse as duration};
use crate::exit::{self, usage};
use crate::output::{self, Output};
use anyhow::Result;
use perjury_campaign::{CampaignError, ClusterPlan, RunPlan, Say};
use perjury_checker::Verdict;
use perjury_history::{Acks, IsolationLevel};
use perjury_store::Store;
use perjury_worker::plan::{
    ClientSettings, FaultKind, Target, TopicSettings, WorkerPlan, Workload,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Arguments of `perjury run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The cluster's driver.
    #[arg(long, default_value = "testbed")]
    cluster: String,
    /// What clients do.
    #[arg(short, long, default_value = "queue")]
    workload: Workload,
    /// Faults, comma-separated, such as kill, pause, partition, one-way, isolate-leader, loss, drop-response, disk-full,
    /// clock-skew; none for none; noop for faults that do nothing. A name that does not exist is answered with all names.
    #[arg(long, value_delimiter = ',', default_value = "kill")]
    nemesis: Vec<String>,
    /// Roles that faults aim at in turn, comma-separated: leader, follower, controller, coordinator, random, all,
    /// node:NUMBER. A role named twice comes twice as often.
    #[arg(long, value_delimiter = ',', default_value = "leader,all,leader,follower")]
    target: Vec<Target>,
    /// The mean time from a heal to the next fault.
    #[arg(long, value_parser = duration, default_value = "3s")]
    nemesis_interval: Duration,
    /// How long a fault lasts.
    #[arg(long, value_parser = duration, default_value = "2500ms")]
    fault_duration: Duration,
    /// How long clients work. A bare number is seconds.
    #[arg(long, value_parser = duration, default_value = "30s")]
    time_limit: Duration,
    /// How long the cluster has to come back after the last fault.
    #[arg(long, value_parser = duration, default_value = "20s")]
    recovery_time_limit: Duration,
    /// How long the final reads may take.
    #[arg(long, value_parser = duration, default_value = "60s")]
    final_time_limit: Duration,
    /// Operations per second over all clients that are aimed at.
    #[arg(long, default_value_t = 800.0)]
    rate: f64,
    /// Clients at a time: a number, or 3n for three a node.
    #[arg(short, long, default_value = "16")]
    concurrency: String,
    /// The share of polls among operations.
    #[arg(long, default_value_t = 0.35)]
    poll_ratio: f64,
    /// Every random choice follows from it; drawn and printed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// The run's name; its folder is STORE/NAME/TIME.
    #[arg(long)]
    name: Option<String>,
    /// A bug of the testbed to switch on; may be repeated. `perjury testbed bugs` lists them.
    #[arg(long)]
    bug: Vec<String>,
    /// The plan.json of another run: the same operations and faults again.
    #[arg(long, conflicts_with_all = ["cluster", "workload", "nemesis", "target", "time_limit", "rate", "concurrency", "seed", "bug"])]
    plan: Option<PathBuf>,
    /// The program of a node, instead of this perjury's own testbed.
    #[arg(long)]
    binary: Option<PathBuf>,
    #[command(flatten)]
    faults: FaultArgs,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    judging: Judging,
    /// Print the resolved plan and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// How to print the report.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(clap::Args)]
struct TopicArgs {
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// How many partitions the topic has.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// How many replicas each partition has; all nodes, up to 3, when absent.
    #[arg(long)]
    replication_factor: Option<i32>,
    /// min.insync.replicas of the topic; a majority of the replicas when absent.
    #[arg(long)]
    min_insync_replicas: Option<i32>,
}

#[derive(clap::Args)]
struct ClientArgs {
    /// The producers' acks: 0, 1 or all.
    #[arg(long, default_value = "all")]
    acks: Acks,
    /// The producers' enable.idempotence; on with acks=all when absent.
    #[arg(long)]
    idempotence: Option<bool>,
    /// How long a send may take before its outcome is unknown.
    #[arg(long, value_parser = duration, default_value = "10s")]
    send_timeout: Duration,
    /// A librdkafka property, key=value; may be repeated.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("{text:?} is not key=value")),
    }
}

/// Tells people on stderr what goes on.
struct Stderr {
    quiet: bool,
}

impl Say for Stderr {
    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

pub(crate) fn run(args: Args, quiet: bool) -> Result<ExitCode> {
    if args.dry_run {
        println!("{}", serde_json::to_string_pretty(&planned(&args)?)?);
        return Ok(ExitCode::SUCCESS);
    }
    execute(args, quiet).map(exit::of)
}

/// The resolved plan, checked.
fn planned(args: &Args) -> Result<RunPlan> {
    let plan = match &args.plan {
        Some(path) => load(path, args)?,
        None => resolve(args)?,
    };
    plan.validate().map_err(usage)?;
    for bug in &plan.cluster.bugs {
        bug.parse::<perjury_testbed::Bug>()
            .map_err(|e| usage(format!("--bug: {e}; `perjury testbed bugs` lists them")))?;
    }
    Ok(plan)
}

/// Runs, prints the report and gives its verdict.
pub(crate) fn execute(args: Args, quiet: bool) -> Result<Verdict> {
    let options = args.judging.options()?;
    let plan = planned(&args)?;
    let store = Store::open(&args.store).map_err(|e| usage(e.to_string()))?;
    let say = Stderr { quiet };
    super::faults::undo_leftovers(&args.store, &say);
    let this = std::env::current_exe()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let finished = runtime.block_on(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                on_signal.cancel();
            }
        });
        perjury_campaign::run(&plan, &store, &this, &options, &stop, &say).await
    });
    match finished {
        Ok(finished) => {
            let path = finished.dir.history_path();
            output::print(args.output, &finished.report, &path, finished.timings)?;
            say.say(&format!("\nrun     {}", finished.dir.path().display()));
            say.say(&format!("again   perjury run --plan {}", finished.dir.plan_path().display()));
            say.say(&format!("pages   perjury serve --store {}", args.store.display()));
            Ok(finished.report.verdict)
        }
        Err(error @ (CampaignError::Plan(_) | CampaignError::Preflight(_))) => {
            Err(usage(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn load(path: &std::path::Path, args: &Args) -> Result<RunPlan> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| usage(format!("cannot read the plan {}: {e}", path.display())))?;
    let mut plan: RunPlan = serde_json::from_str(&text).map_err(|e| {
        usage(format!("{} is not a plan: {e}; give the plan.json of a run", path.display()))
    })?;
    if let Some(name) = &args.name {
        plan.name.clone_from(name);
    }
    if args.binary.is_some() {
        plan.cluster.binary.clone_from(&args.binary);
    }
    Ok(plan)
}

fn resolve(args: &Args) -> Result<RunPlan> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let nemesis = nemeses(&args.nemesis)?;
    let replication_factor = match args.topic.replication_factor {
        Some(factor) => factor,
        None => i32::try_from(args.topic.nodes.min(3))?,
    };
    let fault_settings = args.faults.settings()?;
    let cluster = ClusterPlan {
        placement: args.faults.placement(&nemesis),
        driver: args.cluster.clone(),
        nodes: args.topic.nodes,
        binary: args.binary.clone(),
        bugs: args.bug.clone(),
        formation_limit_ms: 30_000,
    };
    let mut worker = WorkerPlan {
        seed,
        workload: args.workload,
        concurrency: concurrency(&args.concurrency, args.topic.nodes)?,
        rate: args.rate,
        poll_ratio: args.poll_ratio,
        time_limit_ms: millis(args.time_limit),
        recovery_limit_ms: millis(args.recovery_time_limit),
        final_time_limit_ms: millis(args.final_time_limit),
        topic: TopicSettings {
            partitions: args.topic.partitions,
            replication_factor,
            min_insync_replicas: args
                .topic
                .min_insync_replicas
                .unwrap_or(replication_factor / 2 + 1),
            ..TopicSettings::default()
        },
        client: ClientSettings {
            acks: args.client.acks,
            idempotence: args.client.idempotence.unwrap_or(args.client.acks == Acks::All),
            isolation_level: IsolationLevel::ReadUncommitted,
            send_timeout_ms: millis(args.client.send_timeout),
            properties: args.client.properties.iter().cloned().collect::<BTreeMap<_, _>>(),
            ..ClientSettings::default()
        },
        nemesis,
        fault_settings,
        disarmed: args.faults.disarm,
        targets: args.target.clone(),
        nemesis_interval_ms: millis(args.nemesis_interval),
        fault_duration_ms: millis(args.fault_duration),
        schedule: Vec::new(),
    };
    worker.schedule_faults();
    let name =
        args.name.clone().unwrap_or_else(|| format!("{}-{}", args.cluster, args.workload.as_str()));
    Ok(RunPlan { name, cluster, worker })
}

fn nemeses(names: &[String]) -> Result<Vec<FaultKind>> {
    let asked = names.iter().filter(|n| *n != "none");
    asked.map(|n| n.parse().map_err(|e: String| usage(format!("--nemesis: {e}")))).collect()
}

fn concurrency(text: &str, nodes: u32) -> Result<u32> {
    let parsed = match text.strip_suffix('n') {
        Some("") => Some(nodes),
        Some(factor) => factor.parse::<u32>().ok().and_then(|f| f.checked_mul(nodes)),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| {
        usage(format!(
            "--concurrency {text:?} is neither a number nor a multiple of the nodes such as 3n"
        ))
    })
}
