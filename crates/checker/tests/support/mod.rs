//! What the tests of this crate share: the corpus, and small histories built by hand.
#![expect(dead_code, reason = "each test file uses its part")]

use perjury_checker::{Contract, Options, Report, check};
use perjury_history::{Event, History, HistoryBuilder, formats};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The judgement by hand that stands beside a history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The verdict under the Kafka contract.
    pub(crate) verdict: String,
    /// Every anomaly with its count.
    #[serde(default)]
    pub(crate) anomalies: BTreeMap<String, u64>,
    /// Reason codes, where they matter.
    pub(crate) reasons: Option<Vec<String>>,
    /// What Jepsen's contract says, where it is decided.
    pub(crate) jepsen: Option<Jepsen>,
    /// The anomalies that this history nearly shows: none of them is a violation in it.
    #[serde(default)]
    pub(crate) near: Vec<String>,
    /// The consistency models that its transactions must satisfy, where these are not the strictest.
    pub(crate) models: Option<Vec<String>>,
    /// Why.
    pub(crate) because: String,
}

/// The judgement under the Jepsen contract.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jepsen {
    /// The verdict.
    pub(crate) verdict: String,
    /// The bad error types.
    pub(crate) bad: Vec<String>,
}

/// One history of the corpus.
pub(crate) struct Case {
    /// Its path below the corpus, without extension.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What was judged by hand.
    pub(crate) expected: Expected,
}

impl Case {
    /// What was chosen for this history.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        if let Some(models) = &self.expected.models {
            options.consistency_models.clone_from(models);
        }
        options
    }

    /// The history and its report under the Kafka contract, which must not depend on the number of threads.
    pub(crate) fn judged(&self) -> (History, Report) {
        let history = read(&self.path);
        let report = with(&history, &self.options());
        (history, report)
    }
}

/// The whole corpus by name, but for what no reader accepts: the history crate tests its readers with that.
pub(crate) fn corpus() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../histories");
    let mut cases = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the corpus is readable") {
            let path = entry.expect("the corpus is readable").path();
            if path.ends_with("malformed") {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "jsonl" || e == "edn") {
                let beside = path.with_extension("expected.json");
                let text = std::fs::read_to_string(&beside)
                    .unwrap_or_else(|e| panic!("{}: {e}", beside.display()));
                let expected = serde_json::from_str(&text)
                    .unwrap_or_else(|e| panic!("{}: {e}", beside.display()));
                let inside = path.strip_prefix(&root).expect("below the corpus").with_extension("");
                let name = inside.to_string_lossy().replace('\\', "/");
                cases.push(Case { name, path, expected });
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Reads a history of the corpus.
pub(crate) fn read(path: &Path) -> History {
    let bytes = std::fs::read(path).expect("the corpus is readable");
    formats::read_any(bytes.as_slice(), &path.display().to_string(), None)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// A history of these events, with the header of another.
pub(crate) fn rebuild(like: &History, events: &[Event]) -> History {
    let mut builder = HistoryBuilder::new(like.header.clone());
    events.iter().for_each(|event| builder.push(event));
    builder.finish()
}

/// The report under the Kafka contract, which must not depend on the number of threads.
pub(crate) fn judge(history: &History) -> Report {
    under(history, Contract::Kafka)
}

/// The report under a contract, which must not depend on the number of threads.
pub(crate) fn under(history: &History, contract: Contract) -> Report {
    with(history, &Options { contract, ..Options::default() })
}

/// The report with these options, which must not depend on the number of threads.
pub(crate) fn with(history: &History, options: &Options) -> Report {
    let by = |threads| check(history, &Options { threads, ..options.clone() });
    let one = by(1);
    for threads in [2, 8] {
        let many = by(threads);
        assert_eq!(bytes(&one), bytes(&many), "{threads} threads give another report");
    }
    one
}

/// A report as its JSON text.
pub(crate) fn bytes(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("a report is JSON")
}

/// Every anomaly with its count.
pub(crate) fn found(report: &Report) -> BTreeMap<String, u64> {
    report.anomalies.iter().map(|(name, a)| (name.clone(), a.count)).collect()
}
