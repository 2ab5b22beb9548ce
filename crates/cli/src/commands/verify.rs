//! `perjury verify`: evidence checked from the file alone.

use crate::commands::evidence::mended;
use crate::exit::{self, usage};
use anyhow::Result;
use perjury_evidence::{BUNDLE_BYTES_MAX, PublicKey, Rechecked, Verification, verify};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `perjury verify`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A bundle (.zip) or a one-file report (.html).
    file: PathBuf,
    /// The public key that must have signed it: 64 hexadecimal digits, or a file that holds them.
    #[arg(long)]
    key: Option<String>,
    /// How to print the result.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

/// The forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One object.
    Json,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let path = args.file.display();
    let pin = args.key.as_deref().map(public_key).transpose()?;
    let meta = fs::metadata(&args.file).map_err(|e| {
        usage(format!("cannot read {path}: {e}; give a bundle (.zip) or a one-file report (.html) that perjury evidence made"))
    })?;
    if !meta.is_file() || meta.len() > BUNDLE_BYTES_MAX {
        return Err(usage(format!(
            "{path} is no file of at most {BUNDLE_BYTES_MAX} bytes, as evidence is"
        )));
    }
    let file = fs::read(&args.file).map_err(|e| usage(format!("cannot read {path}: {e}")))?;
    let found = verify(&file, &path.to_string(), pin).map_err(mended)?;
    let text = match args.output {
        Output::Text => text(&found),
        Output::Json => {
            let mut value = serde_json::to_value(&found)?;
            value["verified"] = found.is_verified().into();
            format!("{value:#}\n")
        }
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(ExitCode::from(if found.is_verified() { exit::VALID } else { exit::INVALID }))
}

/// The key itself, or the one in a file of that name.
fn public_key(text: &str) -> Result<PublicKey> {
    let inside = fs::read_to_string(Path::new(text));
    inside.as_deref().unwrap_or(text).parse().map_err(mended)
}

fn text(found: &Verification) -> String {
    let mut lines = Vec::new();
    let word = if found.is_verified() { "VERIFIED" } else { "NOT VERIFIED" };
    let run = if found.run.is_empty() { "the evidence" } else { found.run.as_str() };
    lines.push(format!("{word} · {} · {} hashes checked", printable(run), found.checked));
    for breach in &found.breaches {
        lines.push(format!("  {}: {}", printable(&breach.member), printable(&breach.what)));
    }
    let again = match (found.rechecked, &found.found) {
        (Rechecked::Nothing, _) | (_, None) => "No history could be judged again.".to_owned(),
        (Rechecked::Whole, Some(outcome)) => {
            format!("The whole history was judged again: {}.", printable(&outcome.to_string()))
        }
        (Rechecked::Shrunk, Some(outcome)) => {
            format!("The shrunk history was judged again: {}.", printable(&outcome.to_string()))
        }
    };
    lines.push(again);
    lines.push(match &found.signed_by {
        Some(key) => format!("Signed with {key}."),
        None => "Not signed: the hashes show damage, not who made the evidence.".into(),
    });
    if !found.redacted.is_empty() {
        lines.push(format!("Redacted: {}.", printable(&found.redacted.join(", "))));
    }
    lines.join("\n") + "\n"
}

/// Text from the evidence, which may try to move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
