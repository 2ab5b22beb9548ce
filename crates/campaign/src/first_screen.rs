//! What the first screen of a report page shows of a long history, kept beside it: the timeline and the operations that
//! the report names. With it the page opens without reading the history.

use crate::windows::keep_windows;
use perjury_checker::Report;
use perjury_history::History;
use perjury_store::RunDir;
use perjury_view::operation::{Op, OperationView};
use perjury_view::timeline::timeline;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The form of the file.
pub const FIRST_SCREEN_SCHEMA: &str = "perjury.first-screen/1";
/// A shorter history, in bytes, is read faster than anybody notices.
pub const LONG_HISTORY_BYTES: u64 = 32 << 20;
/// How many points of the timeline are kept. A page asks for no more at first.
const POINTS: usize = 5000;
/// How many operations are kept, and how many records of each.
const OPERATIONS_MAX: usize = 3000;
const RECORDS_MAX: usize = 200;

/// Keeps the first screen of a history that has at least so many bytes, and the index from which its windows are read. What
/// cannot be kept is only slower to see.
pub fn keep_first_screen(dir: &RunDir, history: &History, report: &Report, bytes_min: u64) {
    let Ok(meta) = std::fs::metadata(dir.history_path()) else { return };
    if meta.len() < bytes_min {
        return;
    }
    if let Err(error) = dir.write_first_screen(&first_screen(history, report, meta.len())) {
        tracing::warn!(%error, run = %dir.id(), "the first screen of the report is not kept");
    }
    if let Err(error) = keep_windows(dir, history) {
        tracing::warn!(%error, run = %dir.id(), "the index of the history is not kept");
    }
}

fn first_screen(history: &History, report: &Report, bytes: u64) -> Value {
    let mut operations: BTreeMap<usize, OperationView> = BTreeMap::new();
    let told = report.story.iter().flat_map(|s| &s.ops);
    let shown = report.anomalies.values().flat_map(|a| &a.examples).flat_map(|e| &e.ops);
    let named = told.chain(shown);
    for index in named.filter_map(|i| usize::try_from(*i).ok()).filter(|i| *i < history.len()) {
        if operations.len() >= OPERATIONS_MAX {
            break;
        }
        let op = Op::of(history, index);
        operations.entry(op.first()).or_insert_with(|| OperationView::of(history, op, RECORDS_MAX));
    }
    let Ok(timeline) = timeline(history, None, None, POINTS);
    json!({
        "schema": FIRST_SCREEN_SCHEMA,
        "history_bytes": bytes,
        "timeline": timeline,
        "operations": operations.into_values().collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use perjury_checker::{Options, check};
    use perjury_sim::Defect;
    use perjury_store::Store;

    #[test]
    fn only_a_long_history_leaves_its_first_screen_and_the_operations_that_the_report_names() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let dir = store.create_run("a", chrono::Utc::now()).unwrap();
        let defects = vec!["lose-acked".parse::<Defect>().unwrap()];
        let options = perjury_sim::Options { defects, ..perjury_sim::Options::sized(2000, 3) };
        let (history, _) = perjury_sim::generate(&options);
        let mut text = Vec::new();
        perjury_history::jsonl::write(&history, &mut text).unwrap();
        std::fs::write(dir.history_path(), &text).unwrap();
        let report = check(&history, &Options::default());
        keep_first_screen(&dir, &history, &report, text.len() as u64 + 1);
        assert_eq!(dir.first_screen().unwrap(), None);
        keep_first_screen(&dir, &history, &report, 0);
        let kept = dir.first_screen().unwrap().unwrap();
        assert_eq!(kept["history_bytes"], text.len());
        assert!(dir.windows_path().is_file());
        assert_eq!(kept["timeline"]["operations"].as_u64(), Some(report.operations));
        assert!(!kept["operations"].as_array().unwrap().is_empty());
    }
}
