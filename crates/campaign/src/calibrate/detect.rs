//! When a run first showed what is wrong.

use perjury_checker::{Options, Verdict, check};
use perjury_history::jsonl::{self, ReadOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first moment at which the events of a run prove a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Milliseconds since clients began to work.
    pub ms: u64,
    /// Operations that clients had invoked by then.
    pub operations: u64,
}

/// Finds the shortest beginning of a history, in JSON lines, that proves a violation. Nothing if the whole does not.
///
/// More events can also explain what looked wrong, so that a shorter one may prove something that is taken back later; the
/// bisection finds a beginning that proves a violation while the one with an event less does not.
#[must_use]
pub fn detect(jsonl: &str) -> Option<Detection> {
    // Ends of lines: a beginning is a slice.
    let ends: Vec<usize> = jsonl.match_indices('\n').map(|(at, _)| at + 1).collect();
    let (mut proves_not, mut proves) = (0, ends.len().checked_sub(1)?);
    if !is_violated(&jsonl[..ends[proves]]) {
        return None;
    }
    while proves - proves_not > 1 {
        let middle = proves_not.midpoint(proves);
        if is_violated(&jsonl[..ends[middle]]) {
            proves = middle;
        } else {
            proves_not = middle;
        }
    }
    let events: Vec<Value> = jsonl[..ends[proves]]
        .lines()
        .skip(1)
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let time = |event: &Value| event["time"].as_u64().unwrap_or(0);
    let began = events.iter().find(|e| e["value"]["phase"] == "main").map_or(0, time);
    let proved = events.last().map_or(0, time);
    let invoked = |event: &&Value| event["process"].is_u64() && event["type"] == "invoke";
    Some(Detection {
        ms: proved.saturating_sub(began) / 1_000_000,
        operations: events.iter().filter(invoked).count() as u64,
    })
}

fn is_violated(jsonl: &str) -> bool {
    jsonl::read(jsonl.as_bytes(), "history.jsonl", &ReadOptions::default())
        .is_ok_and(|history| check(&history, &Options::default()).verdict == Verdict::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use perjury_sim::{Defect, Options as Simulated, generate};

    fn text(options: &Simulated) -> String {
        let (history, _) = generate(options);
        let mut text = Vec::new();
        jsonl::write(&history, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_violation_is_found_where_the_defect_shows_and_none_in_a_correct_history() {
        let options = Simulated { operations: 300, ..Simulated::seeded(3) };
        assert_eq!(detect(&text(&options)), None);
        let wrong = Simulated { defects: vec![Defect::DuplicateOnRetry], ..options };
        let whole = text(&wrong);
        let found = detect(&whole).unwrap();
        let invocations = whole.matches("\"type\":\"invoke\"").count() as u64;
        assert!(found.operations > 0 && found.operations <= invocations, "{found:?}");
        // One event less proves nothing: the shortest beginning is found again from itself.
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let shortest = (1..=lines.len()).find(|n| is_violated(&lines[..*n].concat())).unwrap();
        let again = detect(&lines[..shortest].concat()).unwrap();
        assert!(again.operations <= found.operations, "{again:?} {found:?}");
        assert_eq!(detect("not a history\n"), None);
    }
}
