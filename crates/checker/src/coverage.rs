//! Coverage: did the run test anything? What is missing makes the verdict unknown, never valid.
//!
//! # Which histories must prove coverage
//! Those that a recorder of ours made: the header names a workload or asks for faults. A foreign history says nothing of
//! faults or final reads; of it only successful sends and reads are demanded, and under the Jepsen contract not even
//! those, so that verdicts compare.
//!
//! # What is demanded
//! - of every kind of fault that was asked for, at least one that was witnessed, and one witnessed fault in any case;
//! - [`OK_DURING_FAULTS_MIN`] ok operations of clients inside the bands of witnessed faults;
//! - at least one ok send, and one ok poll that returned a record;
//! - a final read that completed;
//! - what the plan's `coverage_min` asks for: `{"ok txn": 10}` is ten operations with the function `txn` that ended in ok;
//! - times on every row;
//! - values that only one operation each sends;
//! - a well-formed history, not torn, not interrupted, without an error of the recorder.
//!
//! Well-formedness: overlapping invocations, completions without invocation, mismatched functions, a retired process that
//! goes on and time that goes back make any history unknown, whoever recorded it and under either contract; what is
//! measured in time is left out if time goes back. What a foreign history lacks (process, time, invocations, as in Jepsen's
//! unit tests) is no flaw of it. A definite violation still beats unknown: analyses go by the order of rows.

use crate::counts::OkOps;
use crate::faults::Surroundings;
use crate::index::is_client;
use crate::options::{Contract, Options};
use crate::report::{Coverage, ReasonDetail};
use crate::words;
use perjury_history::{History, Problem, ProblemKind, wellformed};
use std::collections::BTreeMap;

/// How many ok operations must complete inside the bands of witnessed faults.
pub(crate) const OK_DURING_FAULTS_MIN: u64 = 10;

/// Coverage, what is missing, and what is noted.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The report's section.
    pub(crate) coverage: Coverage,
    /// What is missing.
    pub(crate) reasons: Vec<ReasonDetail>,
    /// What a reader should know.
    pub(crate) notes: Vec<String>,
    /// Whether time goes back somewhere, so that nothing can be measured in it.
    pub(crate) time_reversed: bool,
}

impl Gate {
    /// Adds a reason, once for each code.
    pub(crate) fn reason(&mut self, code: &str, message: impl Into<String>) {
        if !self.reasons.iter().any(|r| r.code == code) {
            self.reasons.push(ReasonDetail { code: code.into(), message: message.into() });
        }
    }
}

/// Whether a recorder of ours made the history.
pub(crate) fn is_native(history: &History) -> bool {
    history.header.workload.is_some() || !history.header.nemesis.is_empty()
}

/// The faults that were asked for.
fn asked(history: &History) -> Vec<String> {
    history.header.nemesis.iter().filter(|f| *f != "none").cloned().collect()
}

/// Judges whether the history shows enough. `kafka` is false for general histories, of which sends, polls and final reads
/// are not demanded.
pub(crate) fn gate(
    history: &History,
    around: &Surroundings,
    options: &Options,
    kafka: bool,
) -> Gate {
    let native = is_native(history);
    let ok = OkOps::count(history, &bands(around));
    let witnessed = around.faults.iter().filter(|f| f.witnessed);
    let mut gate = Gate {
        coverage: Coverage {
            faults_asked: asked(history),
            faults_injected: around.faults.len() as u64,
            faults_witnessed: witnessed.clone().count() as u64,
            leader_kills: witnessed.filter(|f| f.f == "kill" && f.hit_leader).count() as u64,
            ok_sends_during_faults: ok.sends_during,
            ok_polls_during_faults: ok.polls_during,
            final_read: match &around.final_read {
                None => "absent",
                Some(read) if read.completed => "completed",
                Some(_) => "incomplete",
            }
            .into(),
        },
        ..Gate::default()
    };
    whole(history, around, &mut gate);
    shape(history, native, &mut gate);
    if history.operations() == 0 {
        gate.reason("empty-history", "The history holds no operation of any client.");
        return gate;
    }
    if kafka && (native || options.contract == Contract::Kafka) {
        work(ok, &mut gate);
    }
    if native {
        if kafka {
            final_read(around, &mut gate);
        }
        bitten(history, around, ok, &mut gate);
        least(history, &mut gate);
    }
    gate
}

/// Did clients do what the workload is about?
fn least(history: &History, gate: &mut Gate) {
    let asked = history.header.plan.get("coverage_min").and_then(|least| least.as_object());
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return };
    let mut done: BTreeMap<String, u64> = BTreeMap::new();
    for i in (0..history.len()).filter(|i| is_client(history, *i)) {
        if history.kind(i).is_completion() {
            let what = format!("{} {}", history.kind(i).as_str(), history.f(i).as_str());
            *done.entry(what).or_default() += 1;
        }
    }
    let missing: Vec<String> = asked
        .iter()
        .filter_map(|(what, least)| {
            let (least, done) = (least.as_u64()?, done.get(what).copied().unwrap_or(0));
            (done < least).then(|| format!("{done} of {least} operations \"{what}\""))
        })
        .collect();
    if !missing.is_empty() {
        gate.reason(
            "workload-not-exercised",
            format!("What the workload is about happened too seldom: {}.", words::list(&missing)),
        );
    }
}

/// The bands of witnessed faults, merged.
fn bands(around: &Surroundings) -> Vec<(i64, i64)> {
    let witnessed = around.faults.iter().filter(|f| f.witnessed);
    let mut all: Vec<(i64, i64)> =
        witnessed.filter_map(|f| Some((f.start?, around.end_of(f)?))).collect();
    all.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (start, end) in all {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = (*last).max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Is the history whole?
fn whole(history: &History, around: &Surroundings, gate: &mut Gate) {
    if history.torn {
        gate.reason(
            "torn-history",
            "The last line is torn, as after a crash of the recorder: operations may be missing.",
        );
        gate.notes.push("The last line was torn and left out.".into());
    }
    if let Some(why) = &around.interrupted {
        gate.reason("interrupted", format!("The run was cut short: {why}."));
    }
    if let Some((row, message)) = around.recorder_errors.first() {
        let n = around.recorder_errors.len() as u64;
        let times = words::counted(n, "error", "errors");
        gate.reason(
            "recorder-error",
            format!("The recorder reported {times}, the first at event {row}: {message}."),
        );
    }
}

/// Is the history well-formed?
fn shape(history: &History, native: bool, gate: &mut Gate) {
    let problems = wellformed::check(history);
    gate.time_reversed = problems.iter().any(|p| p.kind == ProblemKind::ReversedTime);
    let mut firsts: Vec<&Problem> = Vec::new();
    for problem in &problems {
        if firsts.iter().all(|first| first.kind != problem.kind) {
            firsts.push(problem);
        }
    }
    if !firsts.is_empty() {
        let said = firsts.iter().map(|p| format!("event {}: {}", p.index, p.message));
        let said = said.collect::<Vec<_>>().join("; ");
        gate.reason("malformed-history", format!("The history is not well-formed: {said}."));
    }
    if native && (0..history.len()).any(|i| history.time(i).is_none()) {
        gate.reason("missing-times", "Some events have no time: nothing can be related to faults.");
    }
}

/// Did anything succeed?
fn work(ok: OkOps, gate: &mut Gate) {
    if ok.sends == 0 {
        gate.reason("no-successful-send", "No send succeeded: nothing was promised to anybody.");
    }
    if ok.reads == 0 {
        gate.reason(
            "no-successful-read",
            "No poll returned a record: whatever was lost, nobody looked.",
        );
    }
}

fn final_read(around: &Surroundings, gate: &mut Gate) {
    match &around.final_read {
        None => gate.reason(
            "no-final-read",
            "The history has no final read: what was acknowledged last may never have been read.",
        ),
        Some(read) if !read.completed => {
            let why = read.reason.as_deref().unwrap_or("it did not end");
            let behind: Vec<String> = read
                .targets
                .iter()
                .filter(|(key, target)| read.reached.get(*key).is_none_or(|r| r < *target))
                .map(|(key, _)| key.clone())
                .collect();
            let keys = match behind.len() {
                0 => String::new(),
                _ => format!(" Not read to the end: {}.", words::list_some(&behind, 8)),
            };
            gate.reason(
                "final-read-incomplete",
                format!("The final read did not complete: {why}.{keys}"),
            );
        }
        Some(_) => {}
    }
}

/// Did the faults bite, and did clients work meanwhile?
fn bitten(history: &History, around: &Surroundings, ok: OkOps, gate: &mut Gate) {
    let asked = asked(history);
    if asked.is_empty() {
        if gate.coverage.faults_witnessed == 0 {
            gate.reason(
                "no-fault-witnessed",
                "No fault was asked for, so none was witnessed: promises that nothing put to the test are not known to \
                 be kept.",
            );
        }
        return;
    }
    let mut by_kind: BTreeMap<&str, (u64, u64)> =
        asked.iter().map(|f| (f.as_str(), (0, 0))).collect();
    for fault in &around.faults {
        if let Some((injected, witnessed)) = by_kind.get_mut(fault.f.as_str()) {
            *injected += 1;
            *witnessed += u64::from(fault.witnessed);
        }
    }
    if gate.coverage.faults_witnessed == 0 {
        let tried = words::counted_or_none(around.faults.len() as u64, "was tried", "were tried");
        let why = around.faults.iter().find_map(|f| f.why.as_deref());
        let why = why.map_or_else(String::new, |w| format!(" The first said: {w}."));
        gate.reason(
            "no-fault-witnessed",
            format!(
                "Faults were asked for ({}), {tried}, and no fault was witnessed: the cluster was not tested under \
                 them.{why}",
                words::list(&asked)
            ),
        );
        return;
    }
    let missing: Vec<&str> =
        by_kind.iter().filter(|(_, (_, witnessed))| *witnessed == 0).map(|(f, _)| *f).collect();
    if !missing.is_empty() {
        gate.reason(
            "faults-not-witnessed",
            format!("Faults that were asked for and never witnessed: {}.", words::list(&missing)),
        );
    }
    if ok.during < OK_DURING_FAULTS_MIN {
        gate.reason(
            "too-few-ok-during-faults",
            format!(
                "Only {} succeeded while a fault was in force; at least {OK_DURING_FAULTS_MIN} are needed.",
                words::counted(ok.during, "operation", "operations")
            ),
        );
    }
}
