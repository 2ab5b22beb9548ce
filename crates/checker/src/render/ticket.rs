//! The report for a ticket, before it is written in one tracker's markup: at most 60 lines that say everything without a
//! link.

use super::origin::Origin;
use super::{judged, kcat, ranked};
use crate::report::Report;
use crate::words;

/// A ticket's summary stays on one screen.
const LINES_MAX: usize = 60;
const EXAMPLES_MAX: usize = 3;
const ANOMALIES_MAX: usize = 6;
const KCAT_MAX: usize = 4;

/// A part of a ticket. Texts are plain: a markup escapes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// The title.
    Title(String),
    /// Sentences with numbers.
    Story(Vec<String>),
    /// Anomalies, each with some of its cases.
    Anomalies(Vec<Found>),
    /// Names and values.
    Table(Vec<(&'static str, String)>),
    /// What could not be told.
    Unknown(String),
    /// Commands under a sentence.
    Commands(&'static str, Vec<String>),
}

/// One anomaly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name; empty for the line that only counts the rest.
    pub(super) name: String,
    /// How often, how it is judged, and its title.
    pub(super) text: String,
    /// Cases.
    pub(super) examples: Vec<String>,
}

/// Writes the ticket with as many cases as leave it within 60 lines. `write` gives the lines of one block.
pub(super) fn fit(
    report: &Report,
    origin: &Origin,
    write: impl Fn(&Block) -> Vec<String>,
) -> String {
    let mut lines = Vec::new();
    for examples in (0..=EXAMPLES_MAX).rev() {
        lines = blocks(report, origin, examples).iter().flat_map(&write).collect::<Vec<String>>();
        if lines.len() <= LINES_MAX {
            break;
        }
    }
    lines.truncate(LINES_MAX);
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

fn blocks(report: &Report, origin: &Origin, examples: usize) -> Vec<Block> {
    let mut blocks = vec![Block::Title(report.headline.clone())];
    blocks.push(Block::Story(report.story.iter().map(|s| s.text.clone()).collect()));
    let found = anomalies(report, examples);
    if !found.is_empty() {
        blocks.push(Block::Anomalies(found));
    }
    blocks.push(Block::Table(figures(report, origin)));
    if !report.reasons.is_empty() {
        blocks.push(Block::Unknown(report.reasons.join(", ")));
    }
    let damage = kcat::kcat(report, KCAT_MAX);
    if !damage.is_empty() {
        blocks.push(Block::Commands(
            "The damage on the cluster, if it still runs (B: bootstrap servers):",
            damage,
        ));
    }
    let mut again = Vec::new();
    if let Some(bundle) = &origin.bundle {
        again.push(format!("perjury verify {bundle}"));
        again.push(format!("perjury replay {bundle}"));
    } else if let Some(run) = &origin.run {
        again.push(format!("perjury check store/{run}"));
        again.push(format!("perjury replay {run}"));
    }
    if !again.is_empty() {
        blocks.push(Block::Commands("Check it, and run it again:", again));
    }
    blocks
}

fn anomalies(report: &Report, examples: usize) -> Vec<Found> {
    let all = ranked(report);
    let mut found: Vec<Found> = all
        .iter()
        .take(ANOMALIES_MAX)
        .map(|(name, a)| Found {
            name: (*name).to_owned(),
            text: format!("× {} ({}): {}", words::count(a.count), judged(a.judgement), a.title),
            examples: a.examples.iter().take(examples).map(|e| e.sentence.clone()).collect(),
        })
        .collect();
    if all.len() > ANOMALIES_MAX {
        let more: Vec<&str> = all[ANOMALIES_MAX..].iter().map(|(name, _)| *name).collect();
        let text = format!("also {}", words::list(&more));
        found.push(Found { name: String::new(), text, examples: Vec::new() });
    }
    found
}

fn figures(report: &Report, origin: &Origin) -> Vec<(&'static str, String)> {
    let (counts, coverage) = (&report.counts, &report.coverage);
    let witnessed = format!("{} of {}", coverage.faults_witnessed, coverage.faults_injected);
    let mut rows = vec![
        ("verdict", report.verdict.to_string()),
        ("operations", words::count(report.operations)),
        ("acknowledged records", words::count(counts.acknowledged)),
        ("not read by anybody", words::count(counts.unseen)),
        ("faults witnessed", witnessed),
        ("leader kills", words::count(coverage.leader_kills)),
        ("final read", coverage.final_read.clone()),
        ("contract", report.contract.name.clone()),
    ];
    let told = [
        ("run", origin.run.clone()),
        ("cluster", origin.cluster.clone()),
        ("seed", origin.seed.map(|seed| seed.to_string())),
        ("versions", Some(origin.versions_line()).filter(|v| !v.is_empty())),
        ("evidence", origin.bundle.clone()),
    ];
    rows.extend(told.into_iter().filter_map(|(name, value)| Some((name, value?))));
    rows
}
