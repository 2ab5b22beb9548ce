//! `perjury run`: form a cluster, break it while clients write and read, and judge what it promised.

use super::check::Judging;
use super::cluster::ClusterArgs;
use super::faults::FaultArgs;
use crate::duration::{millis, parse as duration};
use crate::exit::{self, usage};
use crate::output::{self, Output};
use crate::stores;
use anyhow::Result;
use perjury_campaign::{CampaignError, NAMED_RUNS, NamedRun, Pace, RunPlan, Say, never_injected};
use perjury_checker::Verdict;
use perjury_history::{Acks, IsolationLevel};
use perjury_store::RunId;
use perjury_worker::plan::{
    ClientSettings, FaultKind, Target, TopicSettings, WorkerPlan, Workload, transaction_timeout_ms,
};
use perjury_worker::script;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Arguments of `perjury run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The options that the command line has, as opposed to defaults.
    #[arg(skip)]
    pub(crate) given: Vec<String>,
    /// What clients do.
    #[arg(short, long, default_value = "queue")]
    workload: Workload,
    /// Faults, comma-separated, such as kill, pause, partition, one-way, isolate-leader, loss, drop-response, disk-full,
    /// clock-skew; none for none; noop for faults that do nothing. A name that does not exist is answered with all names.
    #[arg(long, value_delimiter = ',', default_value = "kill")]
    nemesis: Vec<String>,
    /// Roles that faults aim at in turn, comma-separated: leader, follower, followers (all of them), controller, coordinator,
    /// random, all, node:NUMBER. A role named twice comes twice as often.
    #[arg(long, value_delimiter = ',', default_value = "leader,all,leader,follower")]
    target: Vec<Target>,
    /// A fault at a given time, KIND [ROLE] [of PARTITION] at TIME for TIME [with KEY=VALUE,…], such as "pause followers at
    /// 5s for 2s", instead of --nemesis and --target; may be repeated, and faults may overlap.
    #[arg(long, value_name = "FAULT")]
    schedule: Vec<String>,
    /// The mean time from a heal to the next fault; 3s when absent, longer for clusters that start slowly.
    #[arg(long, value_parser = duration)]
    nemesis_interval: Option<Duration>,
    /// How long a fault lasts; 2500ms when absent, longer for clusters that fail over slowly.
    #[arg(long, value_parser = duration)]
    fault_duration: Option<Duration>,
    /// How long clients work, from when each of them got its first answer. A bare number is seconds.
    #[arg(long, value_parser = duration, default_value = "30s")]
    time_limit: Duration,
    /// End clients and faults with the first violation that no later event can undo; what was promised until then is read
    /// back all the same.
    #[arg(long)]
    fail_fast: bool,
    /// How long the cluster has to come back after the last fault; 20s when absent, longer for slow clusters.
    #[arg(long, value_parser = duration)]
    recovery_time_limit: Option<Duration>,
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
    /// What time the cluster is held to, such as gap_ms=5000: exceeding it is a violation. May be repeated; the budgets are
    /// gap_ms (without an acknowledged write), election_ms, recovery_ms, stuck_ms (one operation).
    #[arg(long, value_name = "NAME=MS", value_parser = budget)]
    budget: Vec<(String, u64)>,
    /// A named plan (raft-failover: form and measure, 100 messages read back, 1,000 messages with a leader kill;
    /// acks1-lost-leader, unclean-election, power-loss, retry-duplicates: faults that overlap and make a cluster lose records or
    /// write them twice), or a file: the plan.json of another run, or the same as TOML, for the same operations and faults again.
    #[arg(long, value_name = "NAME|FILE")]
    plan: Option<String>,
    #[command(flatten)]
    faults: FaultArgs,
    #[command(flatten)]
    topic: TopicArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    judging: Judging,
    /// The directory that was made for this run, NAME/TIME in the store.
    #[arg(long, hide = true, requires = "plan")]
    into: Option<RunId>,
    /// End early when standard input is closed: whoever started this run is gone.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
    /// Print the resolved plan and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// How to print the report.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(clap::Args)]
struct TopicArgs {
    /// How many partitions the topic has.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// How many replicas each partition has; all nodes, up to 3, when absent.
    #[arg(long)]
    replication_factor: Option<i32>,
    /// min.insync.replicas of the topic; a majority of the replicas when absent.
    #[arg(long, visible_alias = "min-insync")]
    min_insync_replicas: Option<i32>,
    /// unclean.leader.election.enable of the topic: a replica that is behind may become leader.
    #[arg(long)]
    unclean: bool,
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
}

pub(crate) fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("{text:?} is not key=value")),
    }
}

/// Tells people on stderr what goes on.
pub(super) struct Stderr {
    pub(super) quiet: bool,
}

impl Say for Stderr {
    fn say(&self, text: &str) {
        if !self.quiet {
            crate::output::tell(text);
        }
    }
}

pub(crate) fn run(args: Args, quiet: bool) -> Result<ExitCode> {
    if args.dry_run {
        let plan = planned(&args)?;
        if let Some(note) = never_injected(&plan) {
            output::tell(&format!("note    {note}"));
        }
        println!("{}", serde_json::to_string_pretty(&plan)?);
        return Ok(ExitCode::SUCCESS);
    }
    execute(args, quiet).map(exit::of)
}

/// As `perjury run` with these words after its own name.
pub(crate) fn from_words(words: Vec<std::ffi::OsString>, quiet: bool) -> Result<ExitCode> {
    #[derive(clap::Parser)]
    struct Parsed {
        #[command(flatten)]
        args: Args,
    }
    let parsed =
        <Parsed as clap::Parser>::try_parse_from(words).map_err(|e| usage(e.to_string()))?;
    run(parsed.args, quiet)
}

/// The resolved plan, checked.
fn planned(args: &Args) -> Result<RunPlan> {
    let plan = match &args.plan {
        None => resolve(args)?,
        Some(name) => match NamedRun::named(name) {
            Some(named) => {
                let given = |option: &str| args.given.iter().any(|given| given == option);
                let mut plan = named.settle(resolve(args)?, &given).map_err(usage)?;
                let nemesis = &plan.worker.nemesis;
                plan.cluster.placement = args.faults.placement(&plan.cluster.driver, nemesis);
                plan
            }
            None => load(std::path::Path::new(name), args)?,
        },
    };
    plan.validate().map_err(usage)?;
    Ok(plan)
}

/// What a plan file decides; the command line may not say otherwise.
const DECIDED: [&str; 15] = [
    "budget",
    "cluster",
    "cluster_version",
    "cluster_set",
    "nodes",
    "workload",
    "nemesis",
    "target",
    "time_limit",
    "rate",
    "concurrency",
    "seed",
    "schedule",
    "bug",
    "acks",
];

/// Runs, prints the report and gives its verdict.
pub(crate) fn execute(args: Args, quiet: bool) -> Result<Verdict> {
    let options = args.judging.options()?;
    let plan = planned(&args)?;
    let store = stores::made(&args.store)?;
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
        if args.until_stdin_closes {
            stop_when_stdin_closes(stop.clone());
        }
        let into = args.into.as_ref();
        perjury_campaign::run(&plan, &store, into, &this, &options, &stop, &say).await
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

/// Reads standard input to its end on a thread of its own: the end comes when the last holder of the other side is gone,
/// also when it was killed.
fn stop_when_stdin_closes(stop: CancellationToken) {
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop.cancel();
    });
}

fn load(path: &std::path::Path, args: &Args) -> Result<RunPlan> {
    if let Some(option) = DECIDED.iter().find(|name| args.given.iter().any(|given| given == *name))
    {
        let option = option.replace('_', "-");
        return Err(usage(format!("--{option} cannot be used with a plan file, which decides it")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| {
        let named = NAMED_RUNS.map(|run| format!("\n  {}: {}", run.name, run.summary)).concat();
        let path = path.display();
        usage(format!("there is no plan {path:?}: {e}; give a file or one of these names:{named}"))
    })?;
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let parsed = if is_toml {
        toml::from_str(&text).map_err(|e| e.to_string())
    } else {
        serde_json::from_str(&text).map_err(|e| e.to_string())
    };
    let mut plan: RunPlan = parsed.map_err(|e| {
        usage(format!("{} is not a plan: {e}; give the plan.json of a run", path.display()))
    })?;
    if let Some(name) = &args.name {
        plan.name.clone_from(name);
    }
    plan.fail_fast |= args.fail_fast;
    if let Some(binary) = args.cluster.given_binary() {
        plan.cluster.binary = Some(binary);
    }
    Ok(plan)
}

fn resolve(args: &Args) -> Result<RunPlan> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut nemesis = nemeses(&args.nemesis)?;
    let schedule = script::parse(&args.schedule).map_err(|e| usage(format!("--schedule: {e}")))?;
    if let Some(option) = ["nemesis", "target"]
        .iter()
        .find(|option| !schedule.is_empty() && args.given.iter().any(|given| given == *option))
    {
        return Err(usage(format!(
            "--schedule stands in the place of --{option}: give one of them"
        )));
    }
    nemesis.retain(|_| schedule.is_empty());
    nemesis.extend(schedule.iter().map(|fault| fault.f));
    let replication_factor = match args.topic.replication_factor {
        Some(factor) => factor,
        None => i32::try_from(args.cluster.size().min(3))?,
    };
    let fault_settings = args.faults.settings()?;
    let mut cluster = args.cluster.plan()?;
    cluster.placement = args.faults.placement(&cluster.driver, &nemesis);
    let pace = Pace::of(&cluster.driver);
    let mut worker = WorkerPlan {
        seed,
        workload: args.workload,
        concurrency: concurrency(&args.concurrency, args.cluster.size())?,
        rate: args.rate,
        poll_ratio: args.poll_ratio,
        time_limit_ms: millis(args.time_limit),
        recovery_limit_ms: millis(args.recovery_time_limit.unwrap_or(pace.recovery)),
        final_time_limit_ms: millis(args.final_time_limit),
        transaction_timeout_ms: transaction_timeout_ms(),
        topic: TopicSettings {
            partitions: args.topic.partitions,
            replication_factor,
            min_insync_replicas: args
                .topic
                .min_insync_replicas
                .unwrap_or(replication_factor / 2 + 1),
            unclean_leader_election: args.topic.unclean,
            configs: std::collections::BTreeMap::new(),
            topic: args.cluster.topic(args.workload.as_str()),
        },
        client: ClientSettings {
            acks: args.client.acks,
            idempotence: args.client.idempotence.unwrap_or(args.client.acks == Acks::All),
            isolation_level: IsolationLevel::ReadUncommitted,
            send_timeout_ms: millis(args.client.send_timeout),
            properties: args.cluster.client_properties()?,
            ..ClientSettings::default()
        },
        nemesis,
        fault_settings,
        disarmed: args.faults.disarm,
        targets: args.target.clone(),
        nemesis_interval_ms: millis(args.nemesis_interval.unwrap_or(pace.interval)),
        fault_duration_ms: millis(args.fault_duration.unwrap_or(pace.fault)),
        schedule: Vec::new(),
    };
    if schedule.is_empty() {
        worker.schedule_faults();
    } else {
        worker.follow(schedule);
    }
    let name = args
        .name
        .clone()
        .unwrap_or_else(|| format!("{}-{}", cluster.driver, args.workload.as_str()));
    let budgets = args.budget.iter().cloned().collect();
    Ok(RunPlan { name, scenario: None, cluster, worker, budgets, fail_fast: args.fail_fast })
}

fn nemeses(names: &[String]) -> Result<Vec<FaultKind>> {
    let asked = names.iter().filter(|n| *n != "none");
    asked.map(|n| n.parse().map_err(|e: String| usage(format!("--nemesis: {e}")))).collect()
}

fn budget(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or("a budget is NAME=MS, such as gap_ms=5000")?;
    let ms = value.parse().map_err(|_| format!("{value:?} is no number of milliseconds"))?;
    Ok((name.to_owned(), ms))
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
