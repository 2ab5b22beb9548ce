//! What is to be proved: a recorded run, or a history from elsewhere.

use crate::container::MEMBER_BYTES_MAX;
use crate::error::EvidenceError;
use crate::judged::Judged;
use perjury_history::{History, formats, jsonl};
use perjury_store::{RunDir, RunId, Store};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// A run or history, as it stands on disk.
#[derive(Debug)]
pub struct Source {
    pub(crate) id: String,
    /// The history in its native form.
    pub(crate) text: Vec<u8>,
    pub(crate) history: History,
    /// What the list of runs says of it.
    pub(crate) summary: Value,
    pub(crate) plan: Value,
    pub(crate) judged: Judged,
    pub(crate) dir: Option<RunDir>,
}

impl Source {
    /// The run with this identifier.
    ///
    /// # Errors
    /// When it is not there, has no history, or one that cannot be read or is larger than a bundle may hold.
    pub fn run(store: &Store, id: &RunId) -> Result<Source, EvidenceError> {
        let run = store.load(id)?;
        let path = run.dir.file("history.jsonl")?;
        let path = path.ok_or_else(|| EvidenceError::NoHistory(id.to_string()))?;
        let text = read(&path)?;
        let name = format!("{id}/history.jsonl");
        let history = jsonl::read(text.as_slice(), &name, &jsonl::ReadOptions::default())?;
        Ok(Source {
            id: id.to_string(),
            text,
            history,
            summary: serde_json::to_value(&run.summary)
                .map_err(EvidenceError::json("the summary"))?,
            plan: run.plan.unwrap_or_default(),
            judged: Judged::of(&run.report.unwrap_or_default()),
            dir: Some(run.dir),
        })
    }

    /// A history file of any format that is recognised.
    ///
    /// # Errors
    /// When it cannot be read, is no history, or is larger than a bundle may hold.
    pub fn history(path: &Path) -> Result<Source, EvidenceError> {
        let text = read(path)?;
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let history = formats::read_any(BufReader::new(text.as_slice()), &name, None)?;
        let native = formats::detect(&text[..text.len().min(4096)], &name);
        let text = if native == Some(formats::Format::Jsonl) {
            text
        } else {
            let mut out = Vec::new();
            jsonl::write(&history, &mut out).map_err(EvidenceError::io("write", path))?;
            out
        };
        let summary = json!({
            "id": name, "name": name, "time": "", "status": "complete",
            "workload": history.header.workload, "nemesis": history.header.nemesis,
            "seed": history.header.seed, "cluster": null, "bugs": [],
            "started": history.header.started, "finished": null, "problem": null,
        });
        let plan = history.header.plan.clone();
        let judged = Judged { contract: "kafka".into(), models: Vec::new() };
        Ok(Source { id: name, text, history, summary, plan, judged, dir: None })
    }

    /// Its name in messages: `<name>/<time>`, or the name of the file.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Reads a file that may become a member of a bundle.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, EvidenceError> {
    let file = File::open(path).map_err(EvidenceError::io("open", path))?;
    let bytes = file.metadata().map_err(EvidenceError::io("read", path))?.len();
    let too_large = |bytes| EvidenceError::TooLarge {
        what: path.display().to_string(),
        bytes,
        max: MEMBER_BYTES_MAX,
    };
    if bytes > MEMBER_BYTES_MAX {
        return Err(too_large(bytes));
    }
    let mut text = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    // The file may grow while it is read.
    file.take(MEMBER_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(EvidenceError::io("read", path))?;
    if text.len() as u64 > MEMBER_BYTES_MAX {
        return Err(too_large(text.len() as u64));
    }
    Ok(text)
}
