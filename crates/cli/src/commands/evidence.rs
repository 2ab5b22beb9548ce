//! `perjury evidence`: one file that a stranger opens, believes and checks again.

use crate::exit::{self, usage};
use crate::stores;
use anyhow::{Context, Result};
use perjury_evidence::{
    EvidenceError, Redaction, Signing, Source, Wanted, bundle, page_is_built, report_page,
};
use perjury_store::RunId;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `perjury evidence`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) what: What,
    /// Where to write it; a name that ends in .html gives the one-file report alone. A name that says what it is when absent.
    #[arg(short = 'o', long = "out")]
    out: Option<PathBuf>,
}

/// What evidence is made of, and how.
#[derive(clap::Args)]
pub(crate) struct What {
    /// A run directory (or a link to one, such as store/latest), a run's <name>/<time>, or a history file.
    run: String,
    /// The folder that holds the runs, for a run given by name.
    #[arg(long, default_value = "store", env = "PERJURY_STORE")]
    store: PathBuf,
    /// The anomaly to show, such as lost-write, or lost-write:2 for its second case; the worst one when absent.
    #[arg(long)]
    anomaly: Option<String>,
    /// What to replace by pseudonyms: values, hosts, keys. The verdict stays; secrets are removed in any case.
    #[arg(long, default_value = "")]
    redact: Redaction,
    /// Sign with the key in this file, which `perjury keygen` makes.
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
}

impl What {
    /// What is to be proved, and how.
    pub(super) fn read(&self) -> Result<(Source, Wanted, Option<Signing>)> {
        let source = find(&self.run, &self.store)?;
        let wanted = Wanted { anomaly: self.anomaly.clone(), redaction: self.redact };
        let key = self.sign.as_deref().map(key).transpose()?;
        Ok((source, wanted, key))
    }
}

/// The secret key in a file.
fn key(path: &Path) -> Result<Signing> {
    let text = fs::read_to_string(path)
        .map_err(|e| usage(format!("cannot read the key {}: {e}", path.display())))?;
    Signing::read(&text, &path.display().to_string()).map_err(mended)
}

/// The run or history that the argument means.
fn find(run: &str, store: &Path) -> Result<Source> {
    let path = Path::new(run);
    if path.is_file() {
        return Source::history(path).map_err(mended);
    }
    let (root, id) = if path.is_dir() {
        let real = fs::canonicalize(path).with_context(|| format!("cannot resolve {run}"))?;
        let part = |p: Option<&Path>| p?.file_name()?.to_str().map(str::to_owned);
        let (time, name) = (part(Some(&real)), part(real.parent()));
        let not_a_run = || usage(format!("{run} is no run directory: give store/<name>/<time>"));
        let (name, time) = name.zip(time).ok_or_else(not_a_run)?;
        let root = real.parent().and_then(Path::parent).ok_or_else(not_a_run)?.to_owned();
        (root, RunId::new(&name, &time).map_err(|e| usage(e.to_string()))?)
    } else {
        let nothing = || {
            usage(format!(
                "there is no {run}: give a run directory, NAME/TIME of a run in {}, or a history file; `perjury run` makes a run",
                store.display()
            ))
        };
        let id: RunId = run.parse().map_err(|_| nothing())?;
        if !store.join(run).is_dir() {
            return Err(nothing());
        }
        (store.to_owned(), id)
    };
    Source::run(&stores::there(&root)?, &id).map_err(mended)
}

/// What the user can mend ends with code 254, what only we can with 255.
pub(super) fn mended(error: EvidenceError) -> anyhow::Error {
    match error {
        EvidenceError::Json { .. } | EvidenceError::Pack { .. } | EvidenceError::PageBroken => {
            error.into()
        }
        other => usage(other.to_string()),
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> Result<ExitCode> {
    let (source, wanted, key) = args.what.read()?;
    let page_alone = args.out.as_ref().is_some_and(|o| {
        o.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"))
    });
    if !quiet && !page_is_built() {
        eprintln!(
            "the report page is not built into this program, so report.html holds its data alone; cargo xtask web builds it"
        );
    }
    let (bytes, name) = if page_alone {
        let (html, name) = report_page(source, &wanted, key.as_ref()).map_err(mended)?;
        (html.into_bytes(), name)
    } else {
        let made = bundle(source, &wanted, key.as_ref()).map_err(mended)?;
        (made.bytes, made.file_name)
    };
    let out = args.out.clone().unwrap_or_else(|| name.into());
    write(&out, &bytes).map_err(|e| usage(format!("cannot write {}: {e}", out.display())))?;
    println!("{}", out.display());
    if !quiet {
        eprintln!("{} bytes; perjury verify {} checks it", bytes.len(), out.display());
    }
    Ok(ExitCode::from(exit::VALID))
}

/// Writes the file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("evidence");
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // It may not exist; what matters is the first error.
        let _ = fs::remove_file(&temporary);
    }
    written
}
