//! `perjury check`: judge a recorded history.

use crate::duration::parse as duration;
use crate::exit::{self, usage};
use crate::output::{self, Output};
use anyhow::{Context, Result};
use perjury_campaign::{LONG_HISTORY_BYTES, keep_first_screen};
use perjury_checker::linear::{Budget, Exhausted, Limits};
use perjury_checker::{Options, Report, Rules};
use perjury_history::formats::{self, Format};
use perjury_history::{History, ReadOptions, SubVia, parquet};
use perjury_store::{RunId, Store};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Arguments of `perjury check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A history, a run directory (or a link to one, such as store/latest), a Jepsen store directory, or - for stdin.
    path: PathBuf,
    /// The format; recognised from the content when absent.
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    judging: Judging,
    /// How to print the report.
    #[arg(short, long, default_value = "text")]
    output: Output,
    /// Tell the whole story instead: what was promised, what happened event by event, and what usually causes it.
    #[arg(long, conflicts_with = "output")]
    explain: bool,
    /// Write the report into the run directory as well, where the pages find it.
    #[arg(long)]
    save: bool,
}

/// How a history is judged.
#[derive(clap::Args)]
pub(crate) struct Judging {
    /// What to hold the history against: kafka, register, cas-register, kv, …; recognised from its content when absent.
    #[arg(long)]
    model: Option<String>,
    /// Which anomalies count: `kafka` follows from the configuration, `jepsen` is Jepsen's fixed set.
    #[arg(long, default_value = "kafka")]
    contract: String,
    /// How consumers came by their partitions, if the history does not say: assign, subscribe.
    #[arg(long, value_delimiter = ',')]
    sub_via: Vec<SubVia>,
    /// Draw write-write edges between operations; under the jepsen contract this allows G1c.
    #[arg(long)]
    ww_deps: bool,
    /// Leave these anomalies out, separated by commas; the report says so.
    #[arg(long, value_delimiter = ',', conflicts_with = "only")]
    ignore: Vec<String>,
    /// Look for nothing but these anomalies, separated by commas; the report says so.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How long a search for a linearization, or for a smaller history, may take: then the answer is unknown, or what was
    /// reached by then.
    #[arg(long, value_parser = duration, default_value = "60s")]
    pub(crate) search_time: Duration,
    /// How many MiB such a search may use before the answer is unknown.
    #[arg(long, default_value_t = 2048)]
    search_memory: u64,
    /// How many threads may work; the report is the same whatever the number.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Judging {
    pub(crate) fn options(&self) -> Result<Options> {
        let contract = self.contract.parse().map_err(|e| usage(format!("--contract: {e}")))?;
        let model = self.model.as_ref().map(|m| m.parse()).transpose();
        let rules = if self.only.is_empty() {
            Rules::without(self.ignore.iter().map(String::as_str))
                .map_err(|e| usage(format!("--ignore: {e}")))?
        } else {
            Rules::only(self.only.iter().map(String::as_str))
                .map_err(|e| usage(format!("--only: {e}")))?
        };
        Ok(Options {
            rules,
            contract,
            model: model.map_err(|e| usage(format!("--model: {e}")))?,
            sub_via: self.sub_via.clone(),
            ww_deps: self.ww_deps,
            search_bytes: self.search_memory << 20,
            threads: self.threads.max(1),
            ..Options::default()
        })
    }
}

/// Steps and bytes as the options say, and a clock that is asked every so many steps.
struct Clocked {
    limits: Limits,
    deadline: Instant,
    steps: u32,
}

/// A step takes some microseconds at most, so the clock is asked about every millisecond.
const STEPS_A_LOOK: u32 = 1024;

impl Budget for Clocked {
    fn step(&mut self, bytes_delta: i64) -> Result<(), Exhausted> {
        self.limits.step(bytes_delta)?;
        self.steps = (self.steps + 1) % STEPS_A_LOOK;
        if self.steps == 0 && Instant::now() >= self.deadline {
            Err(Exhausted::Time)
        } else {
            Ok(())
        }
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    let began = Instant::now();
    let options = args.judging.options()?;
    let (history, path) = read(&args.path, args.format)?;
    let read_ms = began.elapsed().as_millis();
    if !quiet && began.elapsed().as_secs() >= 2 && std::io::stderr().is_terminal() {
        eprintln!("read {} events, checking", history.len());
    }
    let checking = Instant::now();
    let limits = Limits::new(options.search_steps, options.search_bytes);
    let mut budget = Clocked { limits, deadline: checking + args.judging.search_time, steps: 0 };
    let report = perjury_checker::check_within(&history, &options, &mut budget);
    let timings =
        serde_json::json!({"read_ms": read_ms, "check_ms": checking.elapsed().as_millis()});
    if args.save {
        save(&args.path, &history, &report)?;
    }
    if args.explain {
        output::write(&perjury_checker::render::explain(&report, &history))?;
    } else {
        output::print(args.output, &report, &path, timings)?;
    }
    Ok(exit::of(report.verdict))
}

/// Writes the report, and what the pages keep of a long history, into the run directory.
fn save(path: &Path, history: &History, report: &Report) -> Result<()> {
    let dir = path.canonicalize().map_err(|e| usage(format!("{}: {e}", path.display())))?;
    let no_run = || {
        usage(format!(
            "--save: {} is no run directory; give STORE/NAME/TIME with a history.jsonl inside",
            path.display()
        ))
    };
    let part = |p: Option<&Path>| Some(p?.file_name()?.to_str()?.to_owned());
    let (time, name) = (part(Some(&dir)), part(dir.parent()));
    let (Some(time), Some(name)) = (time, name) else { return Err(no_run()) };
    let root = dir.parent().and_then(Path::parent).ok_or_else(no_run)?;
    let id = RunId::new(&name, &time).map_err(|_| no_run())?;
    let run = Store::open(root).and_then(|s| s.run_dir(&id)).map_err(|e| usage(e.to_string()))?;
    if !run.history_path().is_file() {
        return Err(no_run());
    }
    if run.status()?.is_some_and(|s| s.is_at_work()) {
        return Err(usage(format!("--save: {id} is under way and writes its own report")));
    }
    keep_first_screen(&run, history, report, LONG_HISTORY_BYTES);
    run.write_report(report)?;
    Ok(())
}

/// Reads the history that a path means.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<(History, PathBuf)> {
    if path == Path::new("-") {
        let history = formats::read_any(std::io::stdin().lock(), "standard input", format);
        return Ok((history.map_err(|e| usage(e.to_string()))?, path.into()));
    }
    let file = find(path)?;
    let open =
        File::open(&file).map_err(|e| usage(format!("cannot open {}: {e}", file.display())))?;
    let name = file.display().to_string();
    let mut reader = BufReader::with_capacity(1 << 20, open);
    let begins = reader.fill_buf().map_or(&[][..], |first| first);
    let history = match format.or_else(|| formats::detect(begins, &name)) {
        // From a file it is read place by place, not taken in whole.
        Some(Format::Parquet) => parquet::read(reader.into_inner(), &name, &ReadOptions::default()),
        format => formats::read_any(reader, &name, format),
    };
    Ok((history.map_err(|e| usage(e.to_string()))?, file))
}

/// The history file of a directory, or the file itself.
fn find(path: &Path) -> Result<PathBuf> {
    let meta = std::fs::metadata(path).map_err(|e| {
        // The link to the newest run is what README names first.
        let newest = path.file_name().is_some_and(|name| name == "latest");
        let hint = if newest { "; `perjury run` makes a run" } else { "" };
        let shown = path.display();
        usage(format!("cannot read {shown}: {e}; give a history file or a run directory{hint}"))
    })?;
    if !meta.is_dir() {
        return Ok(path.into());
    }
    let there =
        formats::candidates().iter().map(|name| path.join(name)).find(|file| file.is_file());
    there
        .with_context(|| {
            format!(
                "{} holds none of {}; give a run directory, STORE/NAME/TIME, or a history file",
                path.display(),
                formats::candidates().join(", ")
            )
        })
        .map_err(|e| usage(e.to_string()))
}
