//! `perjury calibrate`: how many known bugs the runs find, and how often they accuse a correct cluster.

use super::run::Stderr;
use crate::exit::{self, usage};
use crate::output;
use crate::stores;
use anyhow::Result;
use chrono::Utc;
use perjury_campaign::Say;
use perjury_campaign::calibrate::{
    Calibration, CalibrationError, Calibrations, Design, Laboratory, summarise, text,
};
use perjury_testbed::Bug;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Runs at a time for each core: a run waits for its cluster most of its time.
const RUNS_PER_CORE: usize = 4;

/// Arguments of `perjury calibrate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Each bug in the one cell that says most, with five seeds, and 200 clean runs; without it each workload with each
    /// fault that can show the bug, twenty seeds, and 600 clean runs.
    #[arg(long)]
    quick: bool,
    /// Only these bugs, comma-separated; none for clean runs alone. `perjury testbed bugs` lists them.
    #[arg(long, value_delimiter = ',')]
    bugs: Vec<String>,
    /// Only these workloads, comma-separated.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// How many seeds each cell is tried with.
    #[arg(long)]
    seeds: Option<u64>,
    /// How many runs the correct cluster gets, over all workloads and faults.
    #[arg(long)]
    clean: Option<usize>,
    /// The first seed; drawn and printed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// How many runs are made at a time; four a core when absent.
    #[arg(long)]
    parallel: Option<NonZeroUsize>,
    /// How long runs take, in percent: more for a machine that is slow or busy, where clients need seconds to connect.
    #[arg(long, default_value_t = 100, value_name = "PERCENT")]
    pace: u32,
    /// Go on with a calibration that was cut short: the newest, or the one of this identifier. What it tries was decided
    /// when it was begun.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["quick", "bugs", "workloads", "seeds", "seed", "clean"])]
    resume: Option<String>,
    /// Make no run; print a calibration again: the newest, or the one of this identifier.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["quick", "bugs", "workloads", "seeds", "seed", "clean", "resume", "parallel"])]
    show: Option<String>,
    /// The folder that holds the runs; calibrations stand beside them.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// How to print the result.
    #[arg(short, long, default_value = "text")]
    output: Form,
}

/// The forms of a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One object with the schema `perjury.calibration/1`.
    Json,
}

/// Ends with 0; with 1 when the correct cluster was accused, since then the checker is wrong or the cluster is not correct;
/// and with 2 when runs are still to be made.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    let store = stores::made(&args.store)?;
    let calibrations = Calibrations::of(&store);
    let calibration = match &args.show {
        Some(id) => calibrations.load(&named(&calibrations, id)?).map_err(told)?,
        None => make(args, &calibrations, quiet)?,
    };
    print(args.output, &calibration)?;
    Ok(ExitCode::from(match (calibration.false_positives.is_empty(), calibration.complete) {
        (false, _) => exit::INVALID,
        (true, false) => exit::UNKNOWN,
        (true, true) => exit::VALID,
    }))
}

fn print(form: Form, calibration: &Calibration) -> Result<()> {
    output::write(&match form {
        Form::Text => text(calibration),
        Form::Json => serde_json::to_string_pretty(calibration)?,
    })
}

/// The calibration that was meant: the newest when none was named.
fn named(calibrations: &Calibrations, id: &str) -> Result<String> {
    if !id.is_empty() {
        return Ok(id.to_owned());
    }
    let newest = calibrations.ids().into_iter().next();
    newest.ok_or_else(|| usage("this store has no calibration; `perjury calibrate` makes one"))
}

/// What people can mend is told as such.
fn told(error: CalibrationError) -> anyhow::Error {
    match error {
        CalibrationError::Design(_) | CalibrationError::NoSuchCalibration(_) => {
            usage(error.to_string())
        }
        other => other.into(),
    }
}

fn make(args: &Args, calibrations: &Calibrations, quiet: bool) -> Result<Calibration> {
    let say = Stderr { quiet };
    let id = match &args.resume {
        Some(id) => named(calibrations, id)?,
        None => {
            let design = design(args)?;
            design.trials().map_err(|e| usage(e.to_string()))?;
            calibrations.create(&design, Utc::now())?
        }
    };
    let design = calibrations.design(&id).map_err(told)?;
    let before = calibrations.load(&id).map_or(0, |c| c.took_ms);
    let parallel = args.parallel.map_or_else(default_parallel, NonZeroUsize::get);
    say.say(&format!("calibration {id}"));
    say.say(&format!("seed        {}", design.seed));
    let laboratory = Laboratory { program: std::env::current_exe()?, parallel };
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcomes = runtime.block_on(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                on_signal.cancel();
            }
        });
        laboratory.run(calibrations, &id, &stop, &say).await
    });
    let took = millis(began.elapsed()).saturating_add(before);
    let outcomes = outcomes.map_err(told)?;
    let calibration = summarise(&id, &design, &outcomes, Utc::now(), (took, parallel));
    calibrations.save(&calibration)?;
    say.say(&format!("kept in     {}", calibrations.path(&id)?.display()));
    Ok(calibration)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn default_parallel() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get) * RUNS_PER_CORE
}

fn design(args: &Args) -> Result<Design> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut design = if args.quick { Design::quick(seed) } else { Design::full(seed) };
    if !args.bugs.is_empty() {
        let asked = args.bugs.iter().filter(|name| *name != "none");
        let parsed: Result<Vec<Bug>, _> = asked.map(|name| name.parse()).collect();
        design.bugs = parsed.map_err(|e: perjury_testbed::UnknownBug| usage(e.to_string()))?;
        design.bugs.dedup();
    }
    if !args.workloads.is_empty() {
        design.workloads.clone_from(&args.workloads);
    }
    design.seeds = args.seeds.unwrap_or(design.seeds);
    design.clean = args.clean.unwrap_or(design.clean);
    design.pace = args.pace;
    Ok(design)
}
