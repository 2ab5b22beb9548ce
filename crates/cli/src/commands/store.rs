//! `perjury reindex`, `perjury prune` and `perjury replay`: what is done with runs that are there.

use super::run;
use crate::exit::usage;
use crate::stores;
use anyhow::{Context, Result};
use chrono::Utc;
use perjury_campaign::{Shelf, expired, policy};
use perjury_store::{Index, Policy, Retention};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// No plan is larger, in bytes.
const PLAN_BYTES_MAX: u64 = 16 << 20;

/// Arguments of `perjury reindex`.
#[derive(clap::Args)]
pub(crate) struct Reindex {
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
}

/// Arguments of `perjury prune`.
#[derive(clap::Args)]
pub(crate) struct Prune {
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// Keep runs that started within so many days.
    #[arg(long, required_unless_present = "keep_newest")]
    keep_days: Option<u32>,
    /// Keep the newest so many runs of each name.
    #[arg(long)]
    keep_newest: Option<usize>,
    /// Name the runs that would go, and delete nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `perjury replay`.
#[derive(clap::Args)]
pub(crate) struct Replay {
    /// A run directory, a link to one such as store/latest, NAME/TIME of a run in the store, or a bundle.
    run: String,
    /// The folder that holds the runs.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// The program of a node, where it is not the one of the plan.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Print the plan and do nothing.
    #[arg(long)]
    dry_run: bool,
}

fn open(store: &Path) -> Result<Index> {
    Ok(Index::open(Arc::new(stores::there(store)?))?)
}

/// Makes the index anew from the run directories.
pub(crate) fn reindex(args: &Reindex) -> Result<ExitCode> {
    let read = open(&args.store)?.reindex()?;
    println!("{} runs", read.read);
    Ok(ExitCode::SUCCESS)
}

/// Deletes runs that no rule keeps. Runs with a violation stay, and so do runs that nobody judged, that are pinned,
/// or that belong to a campaign that is not over.
pub(crate) fn prune(args: &Prune) -> Result<ExitCode> {
    let index = open(&args.store)?;
    let shelf = Shelf::open(Arc::clone(index.store()))?;
    let asked = Retention { days: args.keep_days, newest: args.keep_newest };
    // Who asks by hand means all names; what plans say is for the service.
    let policy = Policy { of_names: BTreeMap::new(), ..policy(&shelf, asked) };
    let (runs, what) = if args.dry_run {
        (expired(&index, &policy, Utc::now())?, "would go")
    } else {
        (perjury_campaign::prune(&index, &shelf, &policy, Utc::now())?, "is gone")
    };
    for id in runs {
        println!("{id} {what}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs exactly the plan of a run again.
pub(crate) fn replay(args: &Replay, quiet: bool) -> Result<ExitCode> {
    let plan = plan_of(&args.run, &args.store)?;
    // The file lives until the run is over.
    let file = tempfile::NamedTempFile::new().context("cannot keep the plan")?;
    std::fs::write(file.path(), plan)?;
    let mut words: Vec<std::ffi::OsString> = vec![
        "run".into(),
        "--store".into(),
        args.store.clone().into(),
        "--plan".into(),
        file.path().into(),
    ];
    if let Some(binary) = &args.binary {
        words.extend(["--binary".into(), binary.clone().into()]);
    }
    if args.dry_run {
        words.push("--dry-run".into());
    }
    run::from_words(words, quiet)
}

/// The plan of a run directory, of a run of the store, or of a bundle.
fn plan_of(run: &str, store: &Path) -> Result<Vec<u8>> {
    let places = [PathBuf::from(run), store.join(run)];
    if let Some(dir) = places.iter().find(|p| p.is_dir()) {
        let path = dir.join("plan.json");
        return std::fs::read(&path).map_err(|e| {
            usage(format!("cannot read {}: {e}; a run has its plan there", path.display()))
        });
    }
    let Some(file) = places.iter().find(|p| p.is_file()) else {
        return Err(usage(format!(
            "there is no {run}: give a run directory, NAME/TIME of a run in {}, or a bundle",
            store.display()
        )));
    };
    let bad = |e: String| {
        usage(format!("{}: {e}; give a bundle that `perjury evidence` made", file.display()))
    };
    let open = std::fs::File::open(file).map_err(|e| bad(e.to_string()))?;
    let mut zip = zip::ZipArchive::new(open).map_err(|e| bad(e.to_string()))?;
    let name = zip
        .file_names()
        .filter(|n| n.rsplit('/').next() == Some("plan.json"))
        .min_by_key(|n| n.len());
    let Some(name) = name.map(str::to_owned) else {
        return Err(bad("it holds no plan.json".into()));
    };
    let member = zip.by_name(&name).map_err(|e| bad(e.to_string()))?;
    let mut plan = Vec::new();
    member.take(PLAN_BYTES_MAX + 1).read_to_end(&mut plan).map_err(|e| bad(e.to_string()))?;
    if plan.len() as u64 > PLAN_BYTES_MAX {
        return Err(bad("its plan.json is far larger than a plan".into()));
    }
    Ok(plan)
}
