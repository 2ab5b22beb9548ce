//! The report as SARIF 2.1.0: one result for each anomaly. An anomaly has no place in source code; the history's events
//! are named in the message and in the properties.

use super::origin::Origin;
use super::{plain, ranked};
use crate::report::{Judgement, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The artifact that every result points to: results belong to the history that stands beside the report.
const HISTORY: &str = "history.jsonl";

/// The report as a SARIF log, in JSON.
pub fn sarif(report: &Report) -> String {
    sarif_from(report, &Origin::default())
}

/// The same with what is known of the run: name, seed, versions, evidence.
pub fn sarif_from(report: &Report, origin: &Origin) -> String {
    format!("{:#}\n", log(report, origin))
}

fn log(report: &Report, origin: &Origin) -> Value {
    let mut run = json!({
        "tool": { "driver": {
            "name": "perjury",
            "version": env!("CARGO_PKG_VERSION"),
            "rules": rules(report),
        }},
        "results": results(report),
        "properties": {
            "verdict": report.verdict,
            "reasons": report.reasons,
            "seed": origin.seed,
            "cluster": origin.cluster,
            "versions": origin.versions.iter().cloned().collect::<BTreeMap<_, _>>(),
            "bundle": origin.bundle,
        },
    });
    if let Some(id) = &origin.run {
        run["automationDetails"] = json!({ "id": id });
    }
    json!({ "version": "2.1.0", "runs": [run] })
}

fn rules(report: &Report) -> Vec<Value> {
    ranked(report)
        .iter()
        .map(|(name, anomaly)| {
            let help = crate::anomalies::entry(name).map_or("", |e| e.advice);
            json!({
                "id": name,
                "shortDescription": { "text": anomaly.title },
                "fullDescription": { "text": anomaly.rule },
                "help": { "text": help },
            })
        })
        .collect()
}

fn results(report: &Report) -> Vec<Value> {
    ranked(report)
        .iter()
        .enumerate()
        .map(|(index, (name, anomaly))| {
            let first = anomaly.examples.first();
            let text = first.map_or_else(|| anomaly.title.clone(), |e| plain(&e.sentence));
            json!({
                "ruleId": name,
                "ruleIndex": index,
                "level": level(anomaly.judgement),
                "message": { "text": text },
                "locations": [{
                    "physicalLocation": { "artifactLocation": { "uri": HISTORY } },
                }],
                "occurrenceCount": anomaly.count,
                "properties": {
                    "judgement": anomaly.judgement,
                    "events": first.map(|e| &e.ops),
                },
            })
        })
        .collect()
}

fn level(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Violation => "error",
        Judgement::Unspecified => "warning",
        Judgement::Allowed => "note",
    }
}
