//! Every rule earns its place: without it the corpus goes red; something shows it, something nearly does, and one change
//! of a sound history brings it.

mod support;

use perjury_checker::{Options, Report, Rules, check};
use perjury_history::History;
use std::collections::{BTreeMap, BTreeSet};
use support::Case;

/// Names that are no rules of their own.
fn is_derived(name: &str) -> bool {
    // What remains of a circle when no shorter one of a named class is found: the tests of the graph have them.
    name.ends_with("-cycle-exists")
        // Said of whole searches, not of operations: the tests of the reference's quirks have them.
        || matches!(name, "empty-transaction-graph" | "cycle-search-timeout")
        // Needs assumptions about registers that a caller must make: the tests of transactions have it.
        || name == "cyclic-versions"
}

/// The rules of the catalogue.
fn rules() -> Vec<&'static str> {
    perjury_checker::glossary().into_iter().map(|e| e.name).filter(|n| !is_derived(n)).collect()
}

fn read() -> Vec<(Case, History)> {
    let cases = support::corpus().into_iter();
    cases.map(|case| (support::read(&case.path), case)).map(|(h, c)| (c, h)).collect()
}

fn judged(case: &Case, history: &History, rules: Rules) -> Report {
    check(history, &Options { rules, ..case.options() })
}

/// Whether a report is what was judged by hand.
fn as_expected(case: &Case, report: &Report) -> bool {
    report.verdict.as_str() == case.expected.verdict
        && support::found(report) == case.expected.anomalies
}

#[test]
fn without_any_one_rule_the_corpus_goes_red() {
    let corpus = read();
    let mut unneeded = Vec::new();
    for name in rules() {
        let red = corpus.iter().any(|(case, history)| {
            let without = Rules::without([name]).expect("a name of the catalogue");
            !as_expected(case, &judged(case, history, without))
        });
        if !red {
            unneeded.push(name);
        }
    }
    assert!(unneeded.is_empty(), "nothing misses {unneeded:?}");
}

#[test]
fn a_rule_alone_finds_what_it_finds_among_all() {
    for (case, history) in read() {
        for (name, count) in &case.expected.anomalies {
            let only = Rules::only([name.as_str()]).expect("a name of the catalogue");
            let report = judged(&case, &history, only);
            let found = BTreeMap::from([(name.clone(), *count)]);
            assert_eq!(support::found(&report), found, "{}", case.name);
            let note = report.notes.iter().any(|n| n.contains("nothing was looked for but"));
            assert!(note, "{}: {:?}", case.name, report.notes);
        }
    }
}

#[test]
fn every_rule_has_a_history_that_shows_it_and_one_that_nearly_does() {
    let corpus = read();
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    let mut near: BTreeSet<&str> = BTreeSet::new();
    let known: BTreeSet<&str> = perjury_checker::glossary().into_iter().map(|e| e.name).collect();
    for (case, history) in &corpus {
        shown.extend(case.expected.anomalies.keys().map(String::as_str));
        let report = judged(case, history, Rules::default());
        for name in &case.expected.near {
            assert!(known.contains(name.as_str()), "{}: {name} is no anomaly", case.name);
            let violated = report.violations().any(|(n, _)| n == name);
            assert!(!violated, "{} is no near miss of {name}", case.name);
            near.insert(name);
        }
    }
    let all = rules();
    let lacking = |there: &BTreeSet<&str>| {
        all.iter().filter(|n| !there.contains(*n)).copied().collect::<Vec<&str>>()
    };
    assert_eq!(lacking(&shown), Vec::<&str>::new(), "nothing shows these");
    assert_eq!(lacking(&near), Vec::<&str>::new(), "nothing nearly shows these");
}

/// What was asked and answered, row by row, without positions and times.
fn content(history: &History) -> Vec<String> {
    let rows = history.events().map(|mut event| {
        (event.index, event.time) = (0, None);
        serde_json::to_string(&event).expect("an event is JSON")
    });
    rows.collect()
}

/// How many rows stand in one list and not in the other.
fn distance(one: &[String], other: &[String]) -> usize {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    one.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    other.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    counts.values().map(|n| usize::try_from(n.unsigned_abs()).expect("few rows")).sum()
}

/// Two operations, or one that is changed: invocation and completion, before and after.
const ROWS_MAX: usize = 4;

#[test]
fn every_rule_has_a_mutant() {
    // The rows of the table beside, whose base is sound.
    let table = include_str!("mutants.rs");
    let corpus = read();
    let contents: Vec<Vec<String>> = corpus.iter().map(|(_, h)| content(h)).collect();
    let lacks: Vec<&str> = rules()
        .into_iter()
        .filter(|name| {
            let shows = |case: &Case| case.expected.anomalies.contains_key(*name);
            let pair = corpus.iter().zip(&contents).any(|((one, _), rows)| {
                shows(one)
                    && corpus.iter().zip(&contents).any(|((other, _), others)| {
                        !shows(other)
                            && other.expected.verdict == "valid"
                            && distance(rows, others) <= ROWS_MAX
                    })
            });
            !pair && !table.contains(&format!("\"{name}\""))
        })
        .collect();
    assert_eq!(lacks, Vec::<&str>::new(), "no change of a sound history brings these");
}
