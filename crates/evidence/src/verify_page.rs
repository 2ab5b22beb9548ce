//! Verification of a one-file report.

use crate::data::{
    SCHEMA, data_sha256, is_whole, operation_digest, operation_name, section_sha256,
};
use crate::hash::sha256;
use crate::judged::{Judged, Outcome};
use crate::page::{cut, inside};
use crate::proof::Proof;
use crate::sign::{PublicKey, Signed};
use crate::verify::Verification;
use perjury_history::History;
use perjury_view::operation::{Op, OperationView};
use serde_json::{Map, Value};

/// The parts that a page must have; without one of them it would show less than it claims.
const SECTIONS: [&str; 9] =
    ["schema", "run", "detail", "timeline", "operations", "logs", "glossary", "markdown", "proof"];

/// Verifies a page and gives its manifest. `prefix` stands before the names of parts in messages.
pub(crate) fn verify_page(
    v: &mut Verification,
    file: &[u8],
    pin: Option<PublicKey>,
    prefix: &str,
) -> Option<Value> {
    let whole = format!("{prefix}the page");
    let Ok(page) = std::str::from_utf8(file) else {
        v.breach(whole, "it is not UTF-8 text");
        return None;
    };
    let Some(parts) = cut(page) else {
        v.breach(whole, "the element with its data is missing or damaged");
        return None;
    };
    let mut data: Map<String, Value> = match serde_json::from_str(parts.data) {
        Ok(data) => data,
        Err(e) => {
            v.breach(format!("{prefix}the data"), format!("it is not a JSON object: {e}"));
            return None;
        }
    };
    if inside(&Value::Object(data.clone())) != parts.data {
        v.breach(format!("{prefix}the data"), "it is not written as perjury writes it");
    }
    if data.get("schema").is_none_or(|s| s != SCHEMA) {
        v.breach(format!("{prefix}the data"), format!("its schema is not {SCHEMA:?}"));
        return None;
    }
    let Some(manifest) = data.remove("manifest").filter(Value::is_object) else {
        v.breach(format!("{prefix}the manifest"), "it is missing");
        return None;
    };
    let signed = data.remove("signature").map(|s| {
        serde_json::from_value::<Signed>(s).map_err(|e| format!("it is no signature: {e}"))
    });
    if !is_whole(&manifest) {
        v.breach(format!("{prefix}the manifest"), "its content does not match its own SHA-256");
    }
    about(v, &manifest);
    let outside = [parts.before.as_bytes(), parts.after.as_bytes()];
    if manifest["page_sha256"] != *sha256(&outside) {
        v.breach(whole, "what stands round the data does not match the manifest's SHA-256");
    }
    sections(v, &data, &manifest, prefix);
    v.signature(signed, inside(&manifest).as_bytes(), pin, &format!("{prefix}the signature"));
    judge(v, &data, &manifest, prefix);
    Some(manifest)
}

fn about(v: &mut Verification, manifest: &Value) {
    let text = |name: &str| manifest[name].as_str().unwrap_or_default().to_owned();
    v.run = text("run");
    v.tool = text("tool");
    let redacted = manifest["redacted"].as_array().into_iter().flatten();
    v.redacted = redacted.filter_map(|r| r.as_str().map(str::to_owned)).collect();
    v.claimed = serde_json::from_value::<Outcome>(manifest["outcome"].clone()).ok();
}

/// Holds every part against its hash, and names the operation that was changed.
fn sections(v: &mut Verification, data: &Map<String, Value>, manifest: &Value, prefix: &str) {
    let empty = Map::new();
    let listed = manifest["sections"].as_object().unwrap_or(&empty);
    for (name, value) in data {
        v.checked += 1;
        match listed.get(name) {
            Some(hash) if *hash == section_sha256(value) => {}
            Some(_) if name == "operations" => operations(v, value, manifest, prefix),
            Some(_) => v.breach(
                format!("{prefix}part {name}"),
                "its content does not match the manifest's SHA-256",
            ),
            None => v.breach(format!("{prefix}part {name}"), "the manifest does not name it"),
        }
    }
    let needed = SECTIONS.iter().copied().chain(listed.keys().map(String::as_str));
    let missing: std::collections::BTreeSet<&str> =
        needed.filter(|n| !data.contains_key(*n)).collect();
    for name in missing {
        v.breach(format!("{prefix}part {name}"), "it is missing");
    }
    if manifest["data_sha256"] != data_sha256(data) && v.breaches.is_empty() {
        v.breach(format!("{prefix}the data"), "its parts do not match the manifest's SHA-256");
    }
}

fn operations(v: &mut Verification, value: &Value, manifest: &Value, prefix: &str) {
    let items = value["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let digests = manifest["operations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let before = v.breaches.len();
    for (item, digest) in items.iter().zip(digests) {
        if *digest != operation_digest(item) {
            let name = format!("{prefix}{}", operation_name(item));
            v.breach(name, "it is not the operation that was recorded");
        }
    }
    if v.breaches.len() == before {
        let what = format!("{} operations; the manifest names {}", items.len(), digests.len());
        v.breach(format!("{prefix}part operations"), what);
    }
}

/// Judges the contained history again, and holds what the page shows against it.
fn judge(v: &mut Verification, data: &Map<String, Value>, manifest: &Value, prefix: &str) {
    let member = format!("{prefix}part proof");
    let proof = data.get("proof").cloned().unwrap_or_default();
    if proof.is_null() {
        return v.breach(member, "the page holds no history, so nothing can be judged again");
    }
    let proof: Proof = match serde_json::from_value(proof) {
        Ok(proof) => proof,
        Err(e) => return v.breach(member, format!("it cannot be read: {e}")),
    };
    let text = match proof.text() {
        Ok(text) => text,
        Err(why) => return v.breach(member, why),
    };
    let judged: Judged = match serde_json::from_value(manifest["judged"].clone()) {
        Ok(judged) => judged,
        Err(e) => return v.breach(format!("{prefix}the manifest"), format!("judged: {e}")),
    };
    if proof.history == "whole" {
        if manifest["history_sha256"] != proof.sha256 {
            v.breach(&member, "it is not the history that the manifest names");
        }
        if let Some(history) = v.recheck(&text, &judged, &member) {
            shown(v, data, &history, prefix);
        }
    } else {
        v.recheck_part(&text, &judged, manifest["anomaly"].as_str(), &member);
    }
    let report = data.get("detail").map(|d| d["report"].clone()).unwrap_or_default();
    let says = serde_json::from_value::<perjury_checker::Report>(report);
    if says.ok().map(|r| Outcome::of(&r)) != v.claimed {
        v.breach(format!("{prefix}part detail"), "its report is not what the manifest claims");
    }
}

/// Every operation that the page shows must be in the history that it carries.
fn shown(v: &mut Verification, data: &Map<String, Value>, history: &History, prefix: &str) {
    let items = data.get("operations").and_then(|o| o["items"].as_array());
    for item in items.into_iter().flatten() {
        let event = if item["invoke"].is_null() { &item["complete"] } else { &item["invoke"] };
        let row = event["index"].as_u64().and_then(|i| usize::try_from(i).ok());
        let row = row.filter(|row| *row < history.len());
        let recorded = row.and_then(|row| {
            let view = OperationView::of(history, Op::of(history, row), crate::data::RECORDS_MAX);
            serde_json::to_value(view).ok()
        });
        if recorded.as_ref() != Some(item) {
            let name = format!("{prefix}{}", operation_name(item));
            if !v.breaches.iter().any(|b| b.member == name) {
                v.breach(name, "the page's history does not hold it so");
            }
        }
    }
}
