//! What each anomaly means, with an example from the corpus.

use axum::Json;
use perjury_checker::{GlossaryEntry, glossary as entries};
use rust_embed::RustEmbed;
use serde::Serialize;
use serde_json::Value;
use std::sync::LazyLock;

/// The golden corpus: one small history a claim, in a folder called after the anomaly that it shows.
#[derive(RustEmbed)]
#[folder = "../../histories"]
struct Corpus;

/// The analyses, each of which says at its head how it finds its anomalies: one file for each, or for a few.
#[derive(RustEmbed)]
#[folder = "../checker/src/anomalies"]
struct Analyses;

/// A small history that shows the anomaly.
#[derive(Debug, Clone, Serialize)]
struct Shown {
    file: String,
    jsonl: String,
}

/// One anomaly.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Explained {
    name: &'static str,
    title: &'static str,
    /// Whose catalogue it belongs to.
    group: &'static str,
    what: &'static str,
    why: &'static str,
    how: String,
    /// Which configuration would have made it legal.
    contract: String,
    causes: &'static [&'static str],
    actions: Vec<&'static str>,
    source: &'static str,
    example: Option<Shown>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Glossary {
    anomalies: Vec<Explained>,
}

static GLOSSARY: LazyLock<Glossary> =
    LazyLock::new(|| Glossary { anomalies: entries().into_iter().map(explained).collect() });

/// Every anomaly: what it is, why it is bad, likely causes, what to do.
#[utoipa::path(get, path = "/glossary", tag = "runs",
    responses((status = 200, description = "anomalies", body = Value)))]
pub(crate) async fn glossary() -> Json<&'static Glossary> {
    Json(&GLOSSARY)
}

fn explained(entry: GlossaryEntry) -> Explained {
    let (group, source) = match entry.origin {
        "jepsen" => ("queue", "Jepsen tests.kafka, under the same name"),
        "elle" => ("transactions", "Elle (Kingsbury and Alvaro, 2020), under the same name"),
        _ => ("promises", "Perjury's own definition"),
    };
    let example = example(entry.name);
    let shown = example
        .as_ref()
        .map(|shown| format!("`perjury check histories/{}` finds it in the example.", shown.file));
    let how = [found_by(entry.name), shown].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
    let contract = match entry.legal_if {
        "" => "No configuration makes it legal.".to_owned(),
        legal => format!("Legal with {legal}."),
    };
    Explained {
        name: entry.name,
        title: entry.title,
        group,
        what: entry.meaning,
        why: entry.impact,
        how,
        contract,
        causes: entry.causes,
        actions: vec![entry.advice],
        source,
        example,
    }
}

/// How the anomaly is found, in paragraphs that an empty line parts.
fn found_by(name: &str) -> Option<String> {
    let own = format!("{}.rs", name.to_ascii_lowercase().replace('-', "_"));
    let quoted = format!("\"{name}\"");
    let read = |file: &str| String::from_utf8(Analyses::get(file)?.data.into_owned()).ok();
    let tells = |text: &String| {
        let table = text.contains("ENTRIES") || text.contains("const AVAILABILITY_GAP");
        table && text.contains(&quoted)
    };
    let with = || Analyses::iter().filter(|f| f != "mod.rs").filter_map(|f| read(&f)).find(tells);
    section(&read(&own).or_else(with)?, "How it is found")
}

/// A section of a file's own documentation.
fn section(source: &str, title: &str) -> Option<String> {
    let docs = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let mut lines = docs.skip_while(|line| line.strip_prefix("# ") != Some(title)).skip(1);
    let mut text = String::new();
    for line in lines.by_ref().take_while(|line| !line.starts_with("# ")) {
        let glue = match (text.is_empty() || text.ends_with('\n'), line) {
            (true, "") => continue,
            (false, "") => "\n\n",
            (true, _) => "",
            (false, line) if line.starts_with("- ") => "\n\n",
            (false, _) => " ",
        };
        text.push_str(glue);
        text.push_str(line);
    }
    let text = text.trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The shortest history of the anomaly's folder whose expectation names it.
fn example(name: &str) -> Option<Shown> {
    let prefix = format!("{name}/");
    let files = Corpus::iter().filter(|f| f.starts_with(&prefix) && f.ends_with(".jsonl"));
    let shown = files.filter(|file| shows(file, name)).filter_map(|file| {
        let content = Corpus::get(&file)?;
        let jsonl = String::from_utf8(content.data.into_owned()).ok()?;
        Some(Shown { file: file.into_owned(), jsonl })
    });
    shown.min_by_key(|s| (s.jsonl.len(), s.file.clone()))
}

fn shows(file: &str, anomaly: &str) -> bool {
    let expected = file.replace(".jsonl", ".expected.json");
    let read = || -> Option<bool> {
        let expected: Value = serde_json::from_slice(&Corpus::get(&expected)?.data).ok()?;
        Some(expected["anomalies"].get(anomaly).is_some())
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anomaly_is_explained_and_most_are_shown() {
        let all = &GLOSSARY.anomalies;
        assert!(all.len() >= 26);
        for entry in all {
            assert!(
                !entry.what.is_empty() && !entry.why.is_empty() && !entry.actions.is_empty(),
                "{entry:?}"
            );
        }
        let lost = all.iter().find(|e| e.name == "lost-write").unwrap();
        assert!(lost.example.as_ref().unwrap().jsonl.contains("\"send\""));
        assert!(all.iter().filter(|e| e.example.is_some()).count() >= 15);
    }
}
