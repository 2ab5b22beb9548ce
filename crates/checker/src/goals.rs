//! Goals of a named plan, held against what the history shows.

use crate::report::{Goal, Report};
use perjury_history::{F, History, Process};
use serde_json::Value;

/// The goals that the history's note `goals` names, with what was measured; none without such a note.
pub(crate) fn measure(history: &History, report: &Report) -> Vec<Goal> {
    let note = (0..history.len()).find_map(|i| {
        let F::Other(f) = history.f(i) else { return None };
        let is_note = &**f == "goals" && history.process(i) == Some(Process::Nemesis);
        history.json(i).filter(|_| is_note)
    });
    let Some(note) = note else { return Vec::new() };
    let limit = |name: &str| note.get(name).and_then(Value::as_u64);
    let kills: Vec<_> =
        report.availability.faults.iter().filter(|fault| fault.f == "kill").collect();
    let mut goals = Vec::new();
    if let Some(most) = limit("formation_ms") {
        let measured = report.availability.formation_ms;
        let met = measured.is_some_and(|ms| ms <= most);
        goals.push(goal("formation", &format!("at most {most} ms"), in_ms(measured), Some(met)));
    }
    if let Some(most) = limit("election_ms") {
        let all: Option<Vec<u64>> = kills.iter().map(|fault| fault.election_ms).collect();
        let measured = all.and_then(|all| all.into_iter().max());
        let met = measured.is_some_and(|ms| ms < most);
        goals.push(goal("election", &format!("less than {most} ms"), in_ms(measured), Some(met)));
    }
    let first = kills.iter().filter_map(|fault| fault.first_ok_send_after_ms).max();
    goals.push(goal("first acknowledged write after the kill", "", in_ms(first), None));
    let lost: u64 = report.counts.keys.iter().map(|key| key.lost).sum();
    let read_all = report.coverage.final_read == "completed";
    let counts = &report.counts;
    let shown = format!("{lost} lost of {} acknowledged", counts.acknowledged);
    goals.push(goal("loss", "no acknowledged write lost", shown, Some(lost == 0 && read_all)));
    let shown = format!("{} of {} acknowledged", counts.acknowledged_read, counts.acknowledged);
    let all = counts.acknowledged > 0 && counts.acknowledged_read == counts.acknowledged;
    goals.push(goal("consumed", "every acknowledged write read", shown, Some(all && read_all)));
    goals
}

fn goal(name: &str, aim: &str, measured: String, met: Option<bool>) -> Goal {
    Goal { name: name.to_owned(), aim: aim.to_owned(), measured, met }
}

fn in_ms(measured: Option<u64>) -> String {
    measured.map_or_else(|| "not seen".to_owned(), |ms| format!("{ms} ms"))
}
