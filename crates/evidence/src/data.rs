//! The data of a one-file report: what the server would answer, whole or in windows, so that the file stays small.

use crate::error::EvidenceError;
use crate::hash::sha256;
use crate::page::{self, inside};
use crate::prepared::{Focus, Prepared};
use crate::proof::Proof;
use crate::sign::Signing;
use crate::texts;
use perjury_checker::{glossary, render};
use perjury_history::{History, Kind};
use perjury_view::log::log;
use perjury_view::operation::{Op, OperationView, rows};
use perjury_view::timeline::timeline;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Name and version of the data's shape.
pub(crate) const SCHEMA: &str = "perjury.evidence/1";
/// The largest one-file report. What does not fit is left out, first the operations farthest from the anomaly.
pub const PAGE_BYTES_MAX: usize = 5_000_000;

/// How many offsets before and after the damage of a log are shown, how many keys, and how many lines of nodes.
const OFFSETS_AROUND: i64 = 60;
const KEYS_MAX: usize = 8;
const NODE_LINES_MAX: usize = 2000;
/// How many polled records of one operation are shown.
pub(crate) const RECORDS_MAX: usize = 100;

/// How much goes in: operations, points of the timeline, lines of nodes, and whether the whole history does.
struct Size {
    operations: usize,
    points: usize,
    lines: usize,
    whole: bool,
}

/// From the largest to the smallest; the first that fits is taken.
const SIZES: [Size; 6] = [
    Size { operations: 5000, points: 4000, lines: NODE_LINES_MAX, whole: true },
    Size { operations: 1500, points: 4000, lines: NODE_LINES_MAX, whole: true },
    Size { operations: 400, points: 2000, lines: 500, whole: true },
    Size { operations: 2000, points: 4000, lines: NODE_LINES_MAX, whole: false },
    Size { operations: 300, points: 1000, lines: 200, whole: false },
    Size { operations: 40, points: 200, lines: 40, whole: false },
];

/// A page with its data.
pub(crate) struct Page {
    pub(crate) html: String,
    /// The SHA-256 of its data without the manifest.
    pub(crate) data_sha256: String,
}

/// The one-file report, at most [`PAGE_BYTES_MAX`] bytes where the page itself leaves room.
///
/// # Errors
/// [`EvidenceError::PageBroken`], [`EvidenceError::Json`], or [`EvidenceError::TooLarge`] when not even the least fits.
pub(crate) fn page(prepared: &Prepared, key: Option<&Signing>) -> Result<Page, EvidenceError> {
    let template = page::template()?;
    let parts = page::cut(&template).ok_or(EvidenceError::PageBroken)?;
    let fits = |proof: &Proof| proof.jsonl.len() + template.len() < PAGE_BYTES_MAX;
    let (whole, part) = (Proof::whole(prepared).filter(fits), Proof::shrunk(prepared));
    let mut bytes = 0;
    for size in &SIZES {
        let proof = if size.whole { whole.as_ref() } else { part.as_ref() };
        if size.whole && proof.is_none() {
            continue;
        }
        let sections = sections(prepared, size, proof)?;
        let manifest = manifest(prepared, &sections, &[parts.before, parts.after]);
        let data_sha256 = manifest["data_sha256"].as_str().unwrap_or_default().to_owned();
        let mut data = sections;
        if let Some(key) = key {
            let signed = key.sign(inside(&manifest).as_bytes());
            let signed =
                serde_json::to_value(signed).map_err(EvidenceError::json("a signature"))?;
            data.insert("signature".into(), signed);
        }
        data.insert("manifest".into(), manifest);
        let html = [parts.before, &inside(&Value::Object(data)), parts.after].concat();
        if html.len() <= PAGE_BYTES_MAX {
            return Ok(Page { html, data_sha256 });
        }
        bytes = html.len() as u64;
    }
    let what = format!("the one-file report of {}", prepared.id);
    Err(EvidenceError::TooLarge { what, bytes, max: PAGE_BYTES_MAX as u64 })
}

/// All of the data but the manifest.
fn sections(
    prepared: &Prepared,
    size: &Size,
    proof: Option<&Proof>,
) -> Result<Map<String, Value>, EvidenceError> {
    let encode = |what, value: serde_json::Result<Value>| value.map_err(EvidenceError::json(what));
    let report = encode("the report", serde_json::to_value(&prepared.report))?;
    let Ok(timeline) = timeline(&prepared.history, None, None, size.points);
    let origin = texts::origin(prepared);
    let mut data = Map::new();
    data.insert("schema".into(), SCHEMA.into());
    data.insert("run".into(), prepared.summary.clone());
    data.insert(
        "detail".into(),
        json!({
            "summary": prepared.summary,
            "report": report,
            "plan": prepared.plan,
            "header": prepared.header,
            "files": [],
            "nodes": prepared.nodes,
            "path": prepared.id,
        }),
    );
    data.insert("timeline".into(), encode("the timeline", serde_json::to_value(timeline))?);
    data.insert("operations".into(), operations(prepared, size.operations)?);
    data.insert("logs".into(), logs(prepared, size.lines)?);
    data.insert("glossary".into(), entries(prepared));
    data.insert(
        "markdown".into(),
        json!({
            "github": render::markdown_from(&prepared.report, &origin),
            "jira": render::jira(&prepared.report, &origin),
        }),
    );
    data.insert("proof".into(), encode("the proof", serde_json::to_value(proof))?);
    Ok(data)
}

/// Operations as the server lists them: all, or those nearest to the anomalies.
fn operations(prepared: &Prepared, max: usize) -> Result<Value, EvidenceError> {
    let h = &prepared.history;
    let firsts: Vec<usize> = rows(h).map(|(op, _)| op.first()).collect();
    let (name, shown) = if firsts.len() <= max {
        ("whole", firsts)
    } else {
        let mut centres = centres(prepared);
        centres.retain(|row| *row < h.len());
        ("window", nearest(h, &firsts, &centres, max))
    };
    let view = |row: usize| OperationView::of(h, Op::of(h, row), RECORDS_MAX);
    let items: serde_json::Result<Vec<Value>> =
        shown.into_iter().map(|row| serde_json::to_value(view(row))).collect();
    Ok(json!({"history": name, "items": items.map_err(EvidenceError::json("an operation"))?}))
}

/// The events that the report speaks of, those of the focus first.
fn centres(prepared: &Prepared) -> Vec<usize> {
    let report = &prepared.report;
    let of = |focus: &Focus| report.anomalies.get(&focus.anomaly);
    let focused = prepared.focus.as_ref().and_then(of);
    let examples = focused.into_iter().chain(report.anomalies.values()).flat_map(|a| &a.examples);
    let story = report.story.iter().flat_map(|s| &s.ops);
    let kept = prepared.shrunk.iter().flat_map(|s| s.rows.iter().copied());
    let events = examples.flat_map(|e| &e.ops).chain(story);
    kept.chain(events.filter_map(|i| usize::try_from(*i).ok())).collect()
}

/// At most `max` operations: the centres, then their neighbours in turn, in the order of the history.
fn nearest(h: &History, firsts: &[usize], centres: &[usize], max: usize) -> Vec<usize> {
    let position = |row: usize| firsts.partition_point(|f| *f < Op::of(h, row).first());
    let mut places: Vec<usize> = Vec::new();
    let mut seen = BTreeSet::new();
    for place in centres.iter().map(|row| position(*row)) {
        if places.len() < max && seen.insert(place) {
            places.push(place);
        }
    }
    if places.is_empty() {
        seen.extend(0..max.min(firsts.len()));
    }
    let mut distance = 1;
    while seen.len() < max && distance < firsts.len() && !places.is_empty() {
        for place in &places {
            let around = [place.checked_sub(distance), place.checked_add(distance)];
            for near in around.into_iter().flatten().filter(|p| *p < firsts.len()) {
                if seen.len() < max {
                    seen.insert(near);
                }
            }
        }
        distance += 1;
    }
    seen.into_iter().filter_map(|place| firsts.get(place).copied()).collect()
}

/// The logs of the keys that the anomalies touch, and what the nodes printed meanwhile.
fn logs(prepared: &Prepared, lines_max: usize) -> Result<Value, EvidenceError> {
    let mut views = Vec::new();
    let mut keys = BTreeSet::new();
    let examples = prepared.report.anomalies.values().flat_map(|a| &a.examples);
    for example in examples {
        let Some(key) = example.key.as_ref().filter(|k| !keys.contains(*k)) else { continue };
        if keys.len() == KEYS_MAX {
            break;
        }
        keys.insert(key.clone());
        let offset = example.offset.unwrap_or(0);
        let from = offset.saturating_sub(OFFSETS_AROUND).max(0);
        if let Some(view) = log(&prepared.history, key, from, offset.saturating_add(OFFSETS_AROUND))
        {
            views.push(serde_json::to_value(view).map_err(EvidenceError::json("a log"))?);
        }
    }
    let lines: Vec<&crate::prepared::Line> = prepared.lines.iter().take(lines_max).collect();
    let more = prepared.lines.len() > lines.len();
    views.push(json!({"lines": lines, "more": more}));
    Ok(Value::Array(views))
}

/// What the glossary says of the anomalies of this run.
fn entries(prepared: &Prepared) -> Value {
    let known = glossary().into_iter().filter(|e| prepared.report.anomalies.contains_key(e.name));
    let entries = known.map(|e| {
        json!({
            "name": e.name,
            "title": e.title,
            "group": prepared.report.anomalies[e.name].analysis,
            "what": e.meaning,
            "why": e.impact,
            "how": "",
            "contract": e.legal_if,
            "causes": e.causes,
            "actions": [e.advice],
            "source": e.origin,
            "example": null,
        })
    });
    json!({"anomalies": entries.collect::<Vec<_>>()})
}

/// What the page says of itself: hashes of every part, and what was concluded.
fn manifest(prepared: &Prepared, sections: &Map<String, Value>, page: &[&str]) -> Value {
    let page: Vec<&[u8]> = page.iter().map(|part| part.as_bytes()).collect();
    let hashes = sections.iter().map(|(name, value)| (name.clone(), section_sha256(value).into()));
    let items = sections["operations"]["items"].as_array().into_iter().flatten();
    let mut manifest = json!({
        "schema": "perjury.page/1",
        "tool": texts::tool(),
        "run": prepared.id,
        "redacted": prepared.redaction.names(),
        "anomaly": prepared.focus.as_ref().map(|f| &f.anomaly),
        "judged": prepared.judged,
        "outcome": crate::judged::Outcome::of(&prepared.report),
        "history_sha256": sha256(&[&prepared.text]),
        "page_sha256": sha256(&page),
        "data_sha256": data_sha256(sections),
        "sections": hashes.collect::<Map<_, _>>(),
        "operations": items.map(operation_digest).collect::<Vec<_>>(),
    });
    manifest["sha256"] = section_sha256(&manifest).into();
    manifest
}

/// Whether a manifest is what it was when its hash was taken.
pub(crate) fn is_whole(manifest: &Value) -> bool {
    let mut rest = manifest.clone();
    let hash = rest.as_object_mut().and_then(|fields| fields.shift_remove("sha256"));
    hash.is_some_and(|hash| hash == section_sha256(&rest))
}

/// The hash of one part of the data.
pub(crate) fn section_sha256(value: &Value) -> String {
    sha256(&[inside(value).as_bytes()])
}

/// The hash of all parts but the manifest and its signature.
pub(crate) fn data_sha256(sections: &Map<String, Value>) -> String {
    let kept =
        sections.iter().filter(|(name, _)| !matches!(name.as_str(), "manifest" | "signature"));
    let kept: Map<String, Value> = kept.map(|(n, v)| (n.clone(), v.clone())).collect();
    section_sha256(&Value::Object(kept))
}

/// A short hash of one operation, to name the one that was changed. What proves is the hash of the whole.
pub(crate) fn operation_digest(item: &Value) -> String {
    section_sha256(item)[..16].to_owned()
}

/// The event that names an operation in messages: its completion, or its invocation.
pub(crate) fn operation_name(item: &Value) -> String {
    let event = if item["complete"].is_null() { &item["invoke"] } else { &item["complete"] };
    let kind = event["type"].as_str().unwrap_or(Kind::Invoke.as_str());
    format!("operation {} ({} {kind})", event["index"], event["f"].as_str().unwrap_or("?"))
}
