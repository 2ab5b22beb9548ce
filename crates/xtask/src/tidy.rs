//! `cargo xtask tidy`: the rules of the house that no compiler checks.

use crate::process::{cargo, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest source file, in lines.
const LINES_MAX: usize = 600;
/// The largest file of the golden corpus, in bytes: anything larger is a seed for the simulator.
const CORPUS_BYTES_MAX: u64 = 256 * 1024;

/// Crates without I/O, clock, randomness or async, and what must never be among their dependencies.
const PURE: [&str; 5] =
    ["perjury-history", "perjury-checker", "perjury-sim", "perjury-secrets", "perjury-view"];
const IMPURE: [&str; 8] =
    ["tokio", "rdkafka", "rdkafka-sys", "axum", "hyper", "openraft", "mio", "rusqlite"];

/// What tests of a crate that knows histories may know besides: histories with a known truth.
const FOR_TESTS: &str = "perjury-sim";

/// What stands at the top level; anything else needs a reason and a line here.
const TOP: [&str; 15] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".gitattributes",
    ".github",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "histories",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "web",
];

/// Checks everything and names each breach.
pub(crate) fn run() -> Result<()> {
    let files = tracked()?;
    let mut breaches = Vec::new();
    breaches.extend(dependencies()?);
    breaches.extend(manifests(&files)?);
    breaches.extend(top_level(&files));
    for file in &files {
        breaches.extend(one_file(file)?);
    }
    breaches.extend(anomalies(&files)?);
    if breaches.is_empty() {
        println!("tidy: {} files, nothing to complain about", files.len());
        return Ok(());
    }
    for breach in &breaches {
        println!("tidy: {breach}");
    }
    bail!("{} breaches of the rules of the house", breaches.len())
}

/// The files that git tracks or would track, relative to the root.
fn tracked() -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("git is needed to list the files")?;
    let files =
        String::from_utf8_lossy(&listed.stdout).lines().map(PathBuf::from).collect::<Vec<_>>();
    Ok(files.into_iter().filter(|f| root().join(f).is_file()).collect())
}

/// Pure crates stay pure through their whole dependency tree, and our own arrows point one way.
fn dependencies() -> Result<Vec<String>> {
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1"])
        .current_dir(root())
        .output()?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let name_of: BTreeMap<&str, &str> =
        packages.iter().filter_map(|p| Some((p["id"].as_str()?, p["name"].as_str()?))).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut direct: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().context("no resolved graph")? {
        let Some(from) = node["id"].as_str().and_then(|id| name_of.get(id)) else { continue };
        for dep in node["deps"].as_array().into_iter().flatten() {
            let Some(to) = dep["pkg"].as_str().and_then(|id| name_of.get(id)) else { continue };
            direct.entry(from).or_default().insert(to);
            let kinds = dep["dep_kinds"].as_array();
            if kinds.is_none_or(|k| k.iter().any(|k| k["kind"].is_null())) {
                edges.entry(from).or_default().insert(to);
            }
        }
    }
    let mut breaches = Vec::new();
    for pure in PURE {
        let mut seen = BTreeSet::from([pure]);
        let mut todo = vec![pure];
        while let Some(at) = todo.pop() {
            for next in edges.get(at).into_iter().flatten() {
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        breaches.extend(
            IMPURE
                .iter()
                .filter(|i| seen.contains(*i))
                .map(|i| format!("{pure} is pure and yet depends on {i}")),
        );
    }
    let map = code_map(&read(Path::new("README.md"))?);
    for entry in std::fs::read_dir(root().join("crates"))? {
        let room = entry?.file_name().to_string_lossy().into_owned();
        let Some(allowed) = map.get(&room) else {
            breaches.push(format!("README.md's code map does not name crates/{room}"));
            continue;
        };
        let name = package(&room);
        let [known, with_tests] = [&edges, &direct].map(|of| ours(of.get(name.as_str())));
        breaches.extend(arrows(&room, allowed, &known, &with_tests));
    }
    Ok(breaches)
}

/// The package that lives in a folder of `crates`.
fn package(room: &str) -> String {
    match room {
        "cli" => "perjury".to_owned(),
        "xtask" => "xtask".to_owned(),
        room => format!("perjury-{room}"),
    }
}

/// The packages of ours among these.
fn ours(packages: Option<&BTreeSet<&str>>) -> BTreeSet<String> {
    let all = packages.into_iter().flatten().filter(|d| d.starts_with("perjury"));
    all.map(ToString::to_string).collect()
}

/// README.md's code map: each folder of `crates` with the packages that it may know, `None` where that is all of them.
fn code_map(readme: &str) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let rows = readme.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, room, _, knows, _] = cells[..] else { return None };
        let room = room.strip_prefix("`crates/")?.strip_suffix('`')?;
        let knows = match knows {
            "all" => None,
            "–" => Some(BTreeSet::new()),
            names => Some(names.split(',').map(|n| package(n.trim())).collect()),
        };
        Some((room.to_owned(), knows))
    });
    rows.collect()
}

/// Where the manifest of a crate and the code map differ, in either direction. Tests of what
/// knows histories may know the simulator besides.
fn arrows(
    room: &str,
    allowed: &Option<BTreeSet<String>>,
    known: &BTreeSet<String>,
    with_tests: &BTreeSet<String>,
) -> Vec<String> {
    let Some(allowed) = allowed else { return Vec::new() };
    let too_much = known.difference(allowed).map(|d| format!("crates/{room} may not know {d}"));
    let simulated = allowed.contains("perjury-history").then_some(FOR_TESTS);
    let in_tests = with_tests
        .difference(known)
        .filter(|d| Some(d.as_str()) != simulated && !allowed.contains(*d));
    let in_tests = in_tests.map(|d| format!("tests of crates/{room} may not know {d}"));
    let stale = allowed.difference(known);
    let stale =
        stale.map(|d| format!("README.md says that crates/{room} knows {d}, which it does not"));
    too_much.chain(in_tests).chain(stale).collect()
}

fn manifests(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|f| f.starts_with("crates") && f.ends_with("Cargo.toml")) {
        if !read(file)?.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{} does not take the workspace's lints", file.display()));
        }
    }
    for pure in ["history", "checker", "sim", "secrets", "view"] {
        if !read(Path::new(&format!("crates/{pure}/src/lib.rs")))?
            .contains("#![warn(clippy::disallowed_methods)]")
        {
            breaches.push(format!("crates/{pure}/src/lib.rs does not forbid I/O and clocks"));
        }
    }
    Ok(breaches)
}

fn top_level(files: &[PathBuf]) -> Vec<String> {
    let tops: BTreeSet<String> = files
        .iter()
        .filter_map(|f| f.components().next())
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .collect();
    tops.iter()
        .filter(|t| !TOP.contains(&t.as_str()))
        .map(|t| format!("{t} does not belong at the top level"))
        .collect()
}

fn one_file(file: &Path) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    let name = file.display();
    if file.starts_with("histories")
        && std::fs::metadata(root().join(file))?.len() > CORPUS_BYTES_MAX
    {
        breaches.push(format!(
            "{name} is larger than {CORPUS_BYTES_MAX} bytes: make it a seed of the simulator"
        ));
    }
    let Ok(text) = std::fs::read_to_string(root().join(file)) else { return Ok(breaches) };
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if matches!(extension, "rs" | "ts" | "tsx" | "css") {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            breaches.push(format!("{name} has {lines} lines, more than {LINES_MAX}"));
        }
        // Spelled in halves, so that this file does not break its own rule.
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("to", "do!("),
            concat!("unimple", "mented!("),
            concat!("#[ig", "nore"),
            concat!("test.", "skip("),
            concat!("test.", "only("),
        ] {
            if let Some(line) = text.lines().position(|l| l.contains(word)) {
                breaches.push(format!(
                    "{name}:{}: {word} is unfinished or switched-off work",
                    line + 1
                ));
            }
        }
    }
    if file.ends_with("package-lock.json") && text.contains("\"resolved\": \"http") {
        breaches.push(format!(
            "{name} holds download addresses: install with omit-lockfile-registry-resolved=true"
        ));
    }
    Ok(breaches)
}

/// One anomaly, one file, with all sections of its doc, and at least one positive in the corpus.
fn anomalies(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    let rules = files.iter().filter(|f| {
        f.parent() == Some(Path::new("crates/checker/src/anomalies")) && !f.ends_with("mod.rs")
    });
    for file in rules {
        let text = read(file)?;
        // Files that declare no entry of the catalogue hold what several rules share.
        if !text.contains("const ENTR") {
            continue;
        }
        for section in
            ["# What it is", "# Why it is bad", "# How it is found", "# Contract", "# Source"]
        {
            if !text.contains(section) {
                breaches.push(format!("{} lacks the section {section:?}", file.display()));
            }
        }
    }
    for file in files.iter().filter(|f| f.starts_with("histories") && is_history(f)) {
        if !root().join(file.with_extension("expected.json")).is_file() {
            breaches
                .push(format!("{} has no hand-judged .expected.json beside it", file.display()));
        }
    }
    Ok(breaches)
}

/// Whether a file of the corpus is a history: native, EDN or, among the malformed ones, elle-cli's JSON.
fn is_history(file: &Path) -> bool {
    let name = file.to_string_lossy();
    let known = [".jsonl", ".edn", ".json"].iter().any(|ending| name.ends_with(ending));
    known && !name.ends_with(".expected.json")
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(root().join(file))
        .with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_code_map_is_read_from_its_table() {
        let map = code_map(
            "| room | what it is | may know |\n|---|---|---|\n| `crates/history` | rows | – |\n\
             | `crates/view` | windows | history, store |\n| `crates/cli` | all of it | all |\n| `web/` | pages | |\n",
        );
        assert_eq!(map.keys().collect::<Vec<_>>(), ["cli", "history", "view"]);
        assert_eq!(map["history"], Some(set(&[])));
        assert_eq!(map["view"], Some(set(&["perjury-history", "perjury-store"])));
        assert_eq!(map["cli"], None);
    }

    #[test]
    fn a_map_that_says_less_or_more_than_the_manifest_is_a_breach() {
        let allowed = Some(set(&["perjury-history", "perjury-store"]));
        let known = set(&["perjury-history", "perjury-worker"]);
        let with_tests =
            set(&["perjury-history", "perjury-worker", "perjury-sim", "perjury-cluster"]);
        assert_eq!(
            arrows("view", &allowed, &known, &with_tests),
            [
                "crates/view may not know perjury-worker",
                "tests of crates/view may not know perjury-cluster",
                "README.md says that crates/view knows perjury-store, which it does not",
            ]
        );
        let none = Some(set(&[]));
        assert_eq!(
            arrows("secrets", &none, &set(&[]), &set(&["perjury-sim"])),
            ["tests of crates/secrets may not know perjury-sim"]
        );
        assert_eq!(arrows("cli", &None, &known, &with_tests), Vec::<String>::new());
    }
}
