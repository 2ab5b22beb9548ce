//! The small files of a bundle.

use crate::prepared::Prepared;
use perjury_checker::render::{self, Origin};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many records get a line that reads them from the cluster.
const KCAT_MAX: usize = 24;
/// The name by which a bundle is called in the commands inside it.
const BUNDLE: &str = "BUNDLE.zip";

/// The program and version that makes bundles.
pub(crate) fn tool() -> String {
    format!("perjury {}", env!("CARGO_PKG_VERSION"))
}

/// What the texts say of the run.
pub(crate) fn origin(prepared: &Prepared) -> Origin {
    let header = serde_json::from_value(prepared.header.clone()).unwrap_or_default();
    Origin { run: Some(prepared.id.clone()), ..Origin::of(&header) }
}

/// All texts: name and content. Commands in them call the bundle by a name that the reader replaces.
pub(crate) fn texts(prepared: &Prepared) -> Vec<(String, Vec<u8>)> {
    let origin = Origin { bundle: Some(BUNDLE.into()), ..origin(prepared) };
    let header = &prepared.header;
    let schedule = json!({
        "planned": prepared.plan["schedule"],
        "injected": prepared.report.availability.faults,
    });
    let config = json!({
        "promised": header["config"],
        "cluster": header["cluster"],
        "client": prepared.plan["client"],
        "topic": prepared.plan["topic"],
    });
    let seed = header["seed"].as_u64().map_or_else(|| "none recorded".into(), |s| s.to_string());
    let versions =
        json!({"evidence": tool(), "run": header["versions"], "history_format": header["format"]});
    let mut texts = vec![
        ("README.txt".to_owned(), readme(prepared)),
        ("report.md".to_owned(), render::markdown_from(&prepared.report, &origin)),
        ("report.jira.txt".to_owned(), render::jira(&prepared.report, &origin)),
        ("report.txt".to_owned(), render::text(&prepared.report)),
        ("reproduce.txt".to_owned(), reproduce(prepared)),
        ("plan.json".to_owned(), pretty(&prepared.plan)),
        ("schedule.json".to_owned(), pretty(&schedule)),
        ("seed.txt".to_owned(), format!("{seed}\n")),
        ("versions.json".to_owned(), pretty(&versions)),
        ("config.json".to_owned(), pretty(&config)),
    ];
    texts.extend(logs(prepared));
    texts.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// JSON for people, ending with a newline.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What each node printed round the anomaly, a file a node.
fn logs(prepared: &Prepared) -> Vec<(String, String)> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for line in &prepared.lines {
        let text = files.entry(format!("logs/node-{}.log", line.line.node)).or_default();
        let at = line.line.at.map_or_else(String::new, |at| format!("{} ", at.to_rfc3339()));
        let seconds = line.t.map_or_else(|| "-".into(), seconds);
        let _ = writeln!(text, "{at}[{seconds}] {}", line.line.text);
    }
    files.into_iter().collect()
}

/// Nanoseconds since the start of the run, in seconds: `12.345678 s`.
fn seconds(ns: i64) -> String {
    let us = ns.unsigned_abs() / 1000;
    let sign = if ns < 0 { "-" } else { "" };
    format!("{sign}{}.{:06} s", us / 1_000_000, us % 1_000_000)
}

fn reproduce(prepared: &Prepared) -> String {
    let mut out = String::from("# Check this bundle again, from the file alone:\n");
    let _ = writeln!(out, "perjury verify {BUNDLE}");
    out.push_str("\n# Judge the history again, whole and cut down to what shows the anomaly:\n");
    let contract = match prepared.judged.contract.as_str() {
        "jepsen" => " --contract jepsen",
        _ => "",
    };
    let _ = writeln!(out, "perjury check history.jsonl{contract}");
    if prepared.shrunk.is_some() {
        let _ = writeln!(out, "perjury check shrunk.jsonl{contract}");
    }
    if !prepared.plan.is_null() {
        out.push_str(
            "\n# Run the same plan again: the same operations and faults under the same seed.\n",
        );
        let _ = writeln!(out, "perjury replay {BUNDLE}");
    }
    let damage = render::kcat(&prepared.report, KCAT_MAX);
    if !damage.is_empty() {
        out.push_str(
            "\n# Look at the damage, where the cluster still runs. B: its bootstrap servers.\n",
        );
        out.push_str("export B=localhost:9092\n");
        damage.iter().for_each(|line| {
            let _ = writeln!(out, "{line}");
        });
    }
    out
}

fn readme(prepared: &Prepared) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}\n", prepared.report.headline);
    for (i, sentence) in prepared.report.story.iter().enumerate() {
        let _ = writeln!(out, "{}. {}", i + 1, sentence.text);
    }
    let redacted = if prepared.redaction.is_none() {
        "Nothing is redacted but passwords and other secrets.".to_owned()
    } else {
        format!(
            "Redacted: {}. The same pseudonym stands for the same original everywhere.",
            prepared.redaction.names().join(", ")
        )
    };
    let shrunk = match (&prepared.shrunk, &prepared.focus) {
        (Some(shrunk), Some(focus)) => format!(
            "shrunk.jsonl     {} of {} events that still show {}\n",
            shrunk.history.len(),
            prepared.history.len(),
            focus.anomaly
        ),
        _ => String::new(),
    };
    let _ = write!(
        out,
        "
This is the evidence of run {}, made by {}. It was recorded while a cluster was broken on
purpose: every operation of every client, what was answered, and every fault. An
operation is invoked and ends as ok (it happened), fail (it did not) or info (unknown).
{redacted}

report.html      everything in one page; opens in any browser, without network
report.md        the same in short, for a ticket (report.jira.txt: in Jira's markup)
report.json      the checker's report as data
history.jsonl    all {} events, one a line
{shrunk}reproduce.txt    commands: check again, run again, look at the damage
plan.json        the plan; seed.txt, schedule.json, versions.json, config.json: its parts
logs/            what the nodes printed within two seconds of the anomaly
nodes/           the nodes' configurations
manifest.json    a SHA-256 of every file, and what was concluded

To believe it you need only this file and the program: perjury verify {BUNDLE} checks
every hash, judges the history again and compares. Without the program: sha256sum of each
file is in manifest.json.
",
        prepared.id,
        tool(),
        prepared.history.len(),
    );
    out
}
