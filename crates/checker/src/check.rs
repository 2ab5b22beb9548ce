//! From a history to a report: runs the analyses, judges what they found, and puts it together.

use crate::anomalies::{self, CATALOGUE, Entry, Found, Origin};
use crate::availability;
use crate::confidence;
use crate::context::Context;
use crate::contract::Promises;
use crate::counts;
use crate::coverage::{self, Gate};
use crate::explain::Teller;
use crate::faults::Surroundings;
use crate::general;
use crate::goals;
use crate::index::KeyIndex;
use crate::linear::{Budget, Limits};
use crate::options::{Contract, Model, Options};
use crate::report::{
    Anomaly, ContractReport, Judgement, RealtimeLag, Report, RuleReport, SCHEMA, Verdict,
};
use perjury_history::History;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Checks a history.
///
/// The report depends on the history and the options alone, but for [`Options::threads`], which changes nothing. A panic
/// inside of an analysis is caught and makes that analysis *unknown* with the reason `checker-panic`.
pub fn check(history: &History, options: &Options) -> Report {
    check_within(history, options, &mut Limits::new(options.search_steps, options.search_bytes))
}

/// Checks a history; searches that may grow without bound ask `budget` at every step, so that a caller can limit them in
/// time. All else is near-linear in the history and asks nobody.
pub fn check_within(history: &History, options: &Options, budget: &mut dyn Budget) -> Report {
    check_tables(history, options, budget, None)
}

/// The same, from tables of all rows that were made before.
pub(crate) fn check_tables(
    history: &History,
    options: &Options,
    budget: &mut dyn Budget,
    tables: Option<Vec<KeyIndex>>,
) -> Report {
    let around = Surroundings::read(history);
    let promises = Promises::new(history, options);
    let model = general::model_of(history, options);
    let mut gate = coverage::gate(history, &around, options, model == Model::Kafka);
    let mut report = blank(history, &promises);
    report.model = model.as_str().into();
    gate.notes.extend(options.rules.note());
    let measured = guarded(&mut gate, "availability", || availability::measure(history, &around));
    report.availability = measured.unwrap_or_default();
    if gate.time_reversed {
        report.availability = crate::report::Availability {
            formation_ms: around.formation_ms,
            leader_changes: around.leaders.len() as u64,
            ..crate::report::Availability::default()
        };
        gate.notes.push("Time goes back in this history: nothing was measured in it.".into());
    }
    report.counts = guarded(&mut gate, "counts", || counts::rows(history)).unwrap_or_default();
    match model {
        Model::Kafka => {
            let given = Given { history, around: &around, promises: &promises, options };
            kafka(given, tables, budget, &mut report, &mut gate);
        }
        Model::Transactions(workload) => {
            let open = guarded(&mut gate, workload.as_str(), || {
                general::transactions(history, workload, options, budget, &mut report)
            });
            open.into_iter().flatten().for_each(|r| gate.reason(&r.code, r.message));
        }
        Model::Linearizable(name) => {
            let max = options.examples_max;
            let open = guarded(&mut gate, "linearizability", || {
                general::decide(history, name, &promises, budget, max, &mut report)
            });
            open.into_iter().flatten().for_each(|r| gate.reason(&r.code, r.message));
        }
    }
    report.coverage = gate.coverage.clone();
    report.goals =
        guarded(&mut gate, "goals", || goals::measure(history, &report)).unwrap_or_default();
    conclude(report, gate, &Teller { history, around: &around })
}

/// What a check is given.
#[derive(Clone, Copy)]
struct Given<'a> {
    history: &'a History,
    around: &'a Surroundings,
    promises: &'a Promises,
    options: &'a Options,
}

/// Runs all analyses of Kafka histories.
fn kafka(
    given: Given<'_>,
    tables: Option<Vec<KeyIndex>>,
    budget: &mut dyn Budget,
    report: &mut Report,
    gate: &mut Gate,
) {
    let Given { history, around, promises, options } = given;
    let availability = report.availability.clone();
    let context = guarded(gate, "index", || {
        Context::new(history, around, &availability, promises, options, tables)
    });
    match context {
        Some(context) => {
            analyse(&context, report, gate);
            cycles(&context, budget, report, gate);
        }
        None => {
            let names = CATALOGUE.iter().map(|e| e.name).chain(["cycles"]);
            report.analyses = names.map(|n| (n.to_owned(), Verdict::Unknown)).collect();
        }
    }
}

/// Searches for circles among operations.
fn cycles(ctx: &Context<'_>, budget: &mut dyn Budget, report: &mut Report, gate: &mut Gate) {
    let searched = guarded(gate, "cycles", || anomalies::cycles(ctx, budget));
    let Some(cycles) = searched else {
        report.analyses.insert("cycles".into(), Verdict::Unknown);
        return;
    };
    let mut verdict = Verdict::Valid;
    for (name, found) in cycles.found {
        if let Some(entry) = anomalies::entry(name) {
            verdict = verdict.and(record(ctx.promises, report, entry, "cycles", found));
        }
    }
    if let Some(why) = cycles.given_up {
        verdict = verdict.and(Verdict::Unknown);
        gate.reason("cycle-search-timeout", why);
    }
    report.analyses.insert("cycles".into(), verdict);
}

/// A report in which nothing was looked at yet.
fn blank(history: &History, promises: &Promises) -> Report {
    let asked = anomalies::all().filter(|e| promises.rules.looks_for(e.name));
    let rules = asked.map(|e| {
        let rule = promises.rule(e.name, e.clause);
        RuleReport { anomaly: e.name.into(), judgement: rule.judgement, rule: rule.rule }
    });
    let mut rules: Vec<RuleReport> = rules.collect();
    rules.sort_by(|a, b| a.anomaly.cmp(&b.anomaly));
    Report {
        schema: SCHEMA.into(),
        verdict: Verdict::Unknown,
        reasons: Vec::new(),
        reason_details: Vec::new(),
        notes: Vec::new(),
        model: "kafka".into(),
        operations: history.operations(),
        events: history.len() as u64,
        headline: String::new(),
        story: Vec::new(),
        anomalies: BTreeMap::new(),
        analyses: BTreeMap::new(),
        counts: crate::report::Counts::default(),
        coverage: crate::report::Coverage::default(),
        availability: crate::report::Availability::default(),
        contract: ContractReport {
            name: promises.contract.as_str().into(),
            config: promises.config.clone(),
            models: Vec::new(),
            rules,
        },
        confidence: None,
        calibration: None,
        worst_realtime_lag: None,
        goals: Vec::new(),
    }
}

/// Runs `work`; a panic becomes the reason `checker-panic` and gives nothing.
fn guarded<T>(gate: &mut Gate, what: &str, work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "no message".into());
            let message =
                format!("The analysis {what} panicked, so its part is not known: {text}.");
            gate.reason("checker-panic", message);
            None
        }
    }
}

fn analyse(ctx: &Context<'_>, report: &mut Report, gate: &mut Gate) {
    for entry in &CATALOGUE {
        let Some(run) = entry.run.filter(|_| ctx.promises.rules.looks_for(entry.name)) else {
            continue;
        };
        let verdict = match guarded(gate, entry.name, || run(ctx)) {
            None => Verdict::Unknown,
            Some(found) => record(ctx.promises, report, entry, entry.name, found),
        };
        report.analyses.insert(entry.name.into(), verdict);
    }
    guarded(gate, "counts", || counts::values(ctx, &mut report.counts));
    repeated_values(ctx, gate);
    report.worst_realtime_lag = ctx.walk.lag.filter(|_| !gate.time_reversed).map(|lag| {
        RealtimeLag { time: lag.time, process: lag.process, key: ctx.key(lag.key), lag_ns: lag.ns }
    });
    let lost: u64 = ["lost-write", "lost-tail"]
        .iter()
        .filter_map(|name| report.anomalies.get(*name))
        .map(|a| a.count)
        .sum();
    let (counts, kills) = (&report.counts, gate.coverage.leader_kills);
    let clusters = confidence::clusters(ctx);
    report.confidence =
        confidence::state(counts.acknowledged, counts.unseen, kills, lost, &clusters);
}

/// Values must be unique for a key: what several operations sent proves nothing about the cluster.
fn repeated_values(ctx: &Context<'_>, gate: &mut Gate) {
    let repeated = ctx.index.keys().find_map(|(id, key)| {
        let slot = key.slots().find(|s| key.was_sent_again(*s))?;
        Some((ctx.key(id), ctx.value(key, slot)))
    });
    let Some((key, value)) = repeated else { return };
    let message =
        format!("Several operations sent {value} to {key}: values must be unique for a key.");
    if coverage::is_native(ctx.history) {
        gate.reason("values-not-unique", message);
    } else {
        gate.notes.push(message);
    }
}

/// Judges what was found and puts it into the report. Gives the verdict of the analysis.
pub(crate) fn record(
    promises: &Promises,
    report: &mut Report,
    entry: &Entry,
    analysis: &str,
    found: Found,
) -> Verdict {
    if found.count == 0 || !promises.rules.looks_for(entry.name) {
        return Verdict::Valid;
    }
    let rule = promises.rule(entry.name, entry.clause);
    let prohibited = match promises.contract {
        Contract::Kafka => found.sound,
        Contract::Jepsen if entry.origin == Origin::Jepsen => found.count,
        Contract::Jepsen => 0,
    };
    let (judgement, violations, text) = match rule.judgement {
        Judgement::Violation if prohibited > 0 => (Judgement::Violation, prohibited, rule.rule),
        Judgement::Violation => (
            Judgement::Unspecified,
            0,
            format!(
                "Every case has a legal explanation (weaker acknowledgements, a seek or a rebalance, a value that \
                 stands at several offsets, an answer of a former leader). The rule: {}",
                rule.rule
            ),
        ),
        other => (other, 0, rule.rule),
    };
    let anomaly = Anomaly {
        count: found.count,
        violations,
        judgement,
        rule: text,
        title: entry.title.into(),
        analysis: analysis.into(),
        examples: found.examples,
    };
    report.anomalies.insert(entry.name.into(), anomaly);
    if judgement == Judgement::Violation { Verdict::Invalid } else { Verdict::Valid }
}

/// Draws the conclusion and writes headline and story.
fn conclude(mut report: Report, gate: Gate, teller: &Teller<'_>) -> Report {
    report.coverage = gate.coverage;
    report.notes.extend(gate.notes);
    report.reasons = gate.reasons.iter().map(|r| r.code.clone()).collect();
    report.reason_details = gate.reasons;
    let missing = if report.reasons.is_empty() { Verdict::Valid } else { Verdict::Unknown };
    report.verdict = report.analyses.values().fold(missing, |all, one| all.and(*one));
    report.headline = teller.headline(&report);
    report.story = teller.story(&report);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_makes_the_verdict_unknown_and_names_the_analysis() {
        let mut gate = Gate::default();
        let given = guarded(&mut gate, "lost-write", || -> u8 { panic!("index out of bounds") });
        assert_eq!(given, None);
        assert_eq!(gate.reasons.len(), 1);
        assert_eq!(gate.reasons[0].code, "checker-panic");
        let message = &gate.reasons[0].message;
        assert!(message.contains("lost-write") && message.contains("index out of bounds"));
        assert_eq!(guarded(&mut gate, "duplicate", || 7), Some(7));
    }
}
