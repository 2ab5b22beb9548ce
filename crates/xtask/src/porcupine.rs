//! `cargo xtask compare-porcupine`: our linearizability checker beside Porcupine, on the same histories, in one run.

use crate::process::{cargo, command, exists_as, root, run as step};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Makes the histories and our answers, has Porcupine decide the same, and prints both.
pub(crate) fn run() -> Result<()> {
    if !exists_as("go", "version") {
        println!("skipped: go is not installed");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_string_lossy().into_owned();
    let module = root().join("crates/xtask/porcupine");
    println!("Porcupine is fetched through the Go module proxy when it is not there yet");
    let binary = folder.path().join("porcupine").to_string_lossy().into_owned();
    step(command("go", &["build", "-o", &binary, "."]).current_dir(&module))?;
    let bench =
        ["bench", "--quiet", "--package", "perjury-checker", "--bench", "porcupine", "--", &path];
    step(&mut command(&cargo(), &bench))?;
    let output = command(&binary, &[&path]).output().context("cannot start Porcupine")?;
    if !output.status.success() {
        bail!("Porcupine failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let ours = std::fs::read_to_string(folder.path().join("ours.jsonl"))?;
    let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
    report(&compared(&ours, &theirs, folder.path())?)
}

/// One history, decided twice.
struct Compared {
    name: String,
    family: String,
    ours: (String, f64),
    theirs: (String, f64),
}

impl Compared {
    /// How many times longer Porcupine took.
    fn ratio(&self) -> f64 {
        // A clock tick is the least that can be measured.
        self.theirs.1.max(1e-7) / self.ours.1.max(1e-7)
    }

    fn answered(&self) -> bool {
        self.theirs.0 != "unknown"
    }
}

fn compared(ours: &str, theirs: &str, folder: &Path) -> Result<Vec<Compared>> {
    let mut answers = BTreeMap::new();
    for line in theirs.lines() {
        let row: Value = serde_json::from_str(line)?;
        answers.insert(text(&row, "name")?, answer(&row)?);
    }
    let mut all = Vec::new();
    for line in ours.lines() {
        let row: Value = serde_json::from_str(line)?;
        let name = text(&row, "name")?;
        let theirs = answers
            .remove(&name)
            .with_context(|| format!("Porcupine said nothing of {name} in {}", folder.display()))?;
        all.push(Compared { name, family: text(&row, "family")?, ours: answer(&row)?, theirs });
    }
    Ok(all)
}

fn text(row: &Value, field: &str) -> Result<String> {
    Ok(row[field].as_str().with_context(|| format!("{field} is missing in {row}"))?.to_owned())
}

fn answer(row: &Value) -> Result<(String, f64)> {
    let seconds = row["seconds"].as_f64().with_context(|| format!("no seconds in {row}"))?;
    Ok((text(row, "answer")?, seconds))
}

/// The geometric mean of how many times longer Porcupine took.
fn mean<'a>(all: impl Iterator<Item = &'a Compared>) -> f64 {
    let (sum, count) = all.fold((0.0, 0.0), |(s, n), c| (s + c.ratio().ln(), n + 1.0));
    if count > 0.0 { f64::exp(sum / count) } else { f64::NAN }
}

/// Prints a row for each family, then the whole; an answer that differs is an error.
fn report(all: &[Compared]) -> Result<()> {
    println!(
        "| histories | number | answered by Porcupine | same answer | ours s | Porcupine s | times faster (geometric mean) | slowest ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut families: Vec<&str> = Vec::new();
    for one in all {
        if !families.contains(&one.family.as_str()) {
            families.push(&one.family);
        }
    }
    for family in families {
        row(family, &all.iter().filter(|c| c.family == family).collect::<Vec<_>>());
    }
    row("all", &all.iter().collect::<Vec<_>>());
    let differing = all.iter().filter(|c| c.answered() && c.ours.0 != c.theirs.0);
    let differing: Vec<String> = differing
        .map(|c| format!("{} ({}): {} and {}", c.name, c.family, c.ours.0, c.theirs.0))
        .collect();
    if !differing.is_empty() {
        bail!("{} answers differ: {}", differing.len(), differing.join("; "));
    }
    Ok(())
}

fn row(name: &str, of: &[&Compared]) {
    let answered: Vec<&Compared> = of.iter().copied().filter(|c| c.answered()).collect();
    let same = answered.iter().filter(|c| c.ours.0 == c.theirs.0).count();
    let ours: f64 = of.iter().map(|c| c.ours.1).sum();
    let theirs: f64 = of.iter().map(|c| c.theirs.1).sum();
    let slowest = answered.iter().map(|c| c.ratio()).fold(f64::INFINITY, f64::min);
    println!(
        "| {name} | {} | {} | {same} | {ours:.3} | {theirs:.3} | {:.1} | {slowest:.1} |",
        of.len(),
        answered.len(),
        mean(answered.iter().copied())
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_joined_by_name_and_compared() {
        let ours = r#"{"name":"000","family":"a","answer":"ok","seconds":0.001}
{"name":"001","family":"a","answer":"illegal","seconds":0.002}"#;
        let theirs = r#"{"name":"001","answer":"ok","seconds":0.008}
{"name":"000","answer":"ok","seconds":0.001}"#;
        let all = compared(ours, theirs, Path::new("x")).expect("both are complete");
        assert!((mean(all.iter()) - 2.0).abs() < 1e-9, "{}", mean(all.iter()));
        let error = report(&all).expect_err("an answer differs").to_string();
        assert!(error.contains("001"), "{error}");
        assert!(compared(ours, "", Path::new("x")).is_err());
    }
}
