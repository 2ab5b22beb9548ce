//! Every history of the golden corpus gives exactly what was judged by hand; what a violation looks like in the terminal is
//! pinned by snapshots.

mod support;

use perjury_checker::{Contract, Judgement, Report, render};
use std::collections::BTreeSet;

#[test]
fn every_history_is_judged_as_by_hand() {
    let mut wrong = Vec::new();
    for case in support::corpus() {
        assert!(!case.expected.because.is_empty(), "{} says no reason", case.name);
        let report = case.judged().1;
        let verdict = report.verdict.to_string();
        let found = support::found(&report);
        if verdict != case.expected.verdict || found != case.expected.anomalies {
            wrong.push(format!(
                "{}: {:?} {found:?}, expected {:?} {:?}\n{}",
                case.name,
                report.verdict,
                case.expected.verdict,
                case.expected.anomalies,
                render::text(&report)
            ));
        }
        if let Some(reasons) = &case.expected.reasons
            && *reasons != report.reasons
        {
            wrong.push(format!("{}: {:?}, expected {reasons:?}", case.name, report.reasons));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_jepsen_contract_gives_jepsens_bad_error_types() {
    let mut wrong = Vec::new();
    for case in support::corpus() {
        let Some(expected) = &case.expected.jepsen else { continue };
        let history = support::read(&case.path);
        let report = support::under(&history, Contract::Jepsen);
        let bad: Vec<&str> = report.violations().map(|(name, _)| name).collect();
        if report.verdict.as_str() != expected.verdict || bad != expected.bad {
            wrong.push(format!("{}: {} {bad:?}, expected {expected:?}", case.name, report.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_report_survives_its_own_json() {
    for case in support::corpus() {
        let report = case.judged().1;
        let again: Report = serde_json::from_str(&support::bytes(&report)).expect("a report");
        assert_eq!(again, report, "{}", case.name);
        assert_eq!(support::bytes(&again), support::bytes(&report), "{}", case.name);
    }
}

#[test]
fn every_anomaly_has_a_positive_and_every_folder_an_anomaly() {
    let names: BTreeSet<&str> = perjury_checker::glossary().into_iter().map(|e| e.name).collect();
    let cases = support::corpus();
    let folders: BTreeSet<&str> = cases.iter().filter_map(|c| c.name.split('/').next()).collect();
    for folder in folders.difference(&BTreeSet::from(["valid", "unknown"])) {
        assert!(names.contains(folder), "{folder} is no anomaly");
    }
    for case in &cases {
        let Some(folder) = case.name.split('/').next() else { continue };
        if names.contains(folder) {
            let there = case.expected.anomalies.contains_key(folder);
            assert!(there, "{} does not show {folder}", case.name);
        }
    }
}

#[test]
fn every_violation_names_its_events_and_its_rule() {
    for case in support::corpus() {
        let (history, report) = case.judged();
        for (name, anomaly) in report.violations() {
            assert!(anomaly.violations > 0 && !anomaly.rule.is_empty(), "{}: {name}", case.name);
            for example in &anomaly.examples {
                assert!(example.sentence.ends_with('.'), "{}: {}", case.name, example.sentence);
                let inside = example.ops.iter().all(|op| *op < history.len() as u64);
                assert!(inside, "{}: {:?}", case.name, example.ops);
            }
        }
        let story = report.story.len();
        assert!((3..=8).contains(&story), "{}: {story} sentences", case.name);
        let violated = report.violations().next().is_some();
        assert_eq!(violated, report.exit_code() == 1, "{}", case.name);
    }
}

#[test]
fn the_terminal_text_is_what_was_read_aloud() {
    for case in support::corpus() {
        if case.expected.verdict != "invalid" {
            continue;
        }
        let text = render::text(&case.judged().1);
        insta::assert_snapshot!(case.name.replace('/', "__"), text);
    }
}

#[test]
fn a_ticket_fits_on_one_screen() {
    for case in support::corpus() {
        let report = case.judged().1;
        let markdown = render::markdown(&report);
        assert!(markdown.lines().count() <= 60, "{}", case.name);
        assert!(markdown.to_lowercase().contains(report.verdict.as_str()), "{}", case.name);
    }
}

#[test]
fn junit_and_sarif_count_the_violations() {
    for case in support::corpus() {
        let report = case.judged().1;
        let violated = report.violations().count();
        let junit = render::junit(&report);
        assert_eq!(junit.matches("<failure ").count(), violated, "{}", case.name);
        let sarif: serde_json::Value =
            serde_json::from_str(&render::sarif(&report)).expect("SARIF is JSON");
        let results = sarif["runs"][0]["results"].as_array().expect("results");
        let errors = results.iter().filter(|r| r["level"] == "error").count();
        assert_eq!(errors, violated, "{}", case.name);
        assert_eq!(results.len(), report.anomalies.len(), "{}", case.name);
    }
}

#[test]
fn the_glossary_leaves_nothing_unsaid() {
    for entry in perjury_checker::glossary() {
        let said = [entry.title, entry.meaning, entry.impact, entry.advice];
        assert!(said.iter().all(|text| !text.is_empty()), "{}", entry.name);
        assert!(!entry.causes.is_empty(), "{}", entry.name);
    }
}

#[test]
fn allowed_anomalies_never_make_a_run_invalid() {
    for case in support::corpus() {
        let history = support::read(&case.path);
        for contract in [Contract::Kafka, Contract::Jepsen] {
            let report = support::under(&history, contract);
            let worst = report.anomalies.values().map(|a| a.judgement).min();
            let invalid = worst == Some(Judgement::Violation);
            assert_eq!(invalid, report.exit_code() == 1, "{}", case.name);
        }
    }
}
