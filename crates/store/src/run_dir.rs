//! One run's directory: where its files are, and how they are written.

use crate::error::StoreError;
use crate::id::{RunId, component};
use crate::status::{StatusFile, WriterState};
use crate::{atomic, id};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// No report, plan or status is larger: examples in reports are capped.
const JSON_BYTES_MAX: u64 = 64 << 20;
/// No header line is longer: it holds the plan and the nodes' configurations.
const HEADER_BYTES_MAX: u64 = 4 << 20;
/// How many files a listing names; a node's data directory is never listed.
const FILES_MAX: usize = 1000;

/// The files at the top of a run directory that may be taken away.
const TOP_FILES: [&str; 5] =
    ["history.jsonl", "report.json", "plan.json", "status.json", "first-screen.json"];

/// One run's directory. Holding it reserves nothing: the writer of a run is known by `status.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
}

/// A file of a run that may be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Its path inside the run directory, with slashes.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl RunDir {
    pub(crate) fn new(id: RunId, path: PathBuf) -> RunDir {
        RunDir { id, path }
    }

    /// The run's identifier.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the recorder appends events.
    pub fn history_path(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// Where the report stands.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.json")
    }

    /// Where the resolved plan stands.
    pub fn plan_path(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// Where the nodes' directories stand: what a cluster driver is given as its place for logs and data.
    pub fn nodes_path(&self) -> PathBuf {
        self.path.join("nodes")
    }

    /// Where the index stands from which windows of a long history are read.
    pub fn windows_path(&self) -> PathBuf {
        self.path.join("windows.idx")
    }

    fn status_path(&self) -> PathBuf {
        self.path.join("status.json")
    }

    /// The directory of node `n`, created if need be.
    ///
    /// # Errors
    /// [`StoreError::BadId`] when `n` is not a plain name, [`StoreError::Io`] when it cannot be created.
    pub fn node_dir(&self, n: &str) -> Result<PathBuf, StoreError> {
        component(n)?;
        let path = self.nodes_path().join(n);
        fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?;
        Ok(path)
    }

    /// Writes `report.json` in one step.
    ///
    /// # Errors
    /// [`StoreError::Json`] when the report cannot be put into JSON, [`StoreError::Io`] when it cannot be written.
    pub fn write_report(&self, report: &impl Serialize) -> Result<(), StoreError> {
        self.write_json(&self.report_path(), report)
    }

    /// Writes `plan.json` in one step, without the secrets that client properties may hold.
    ///
    /// # Errors
    /// As [`RunDir::write_report`].
    pub fn write_plan(&self, plan: &impl Serialize) -> Result<(), StoreError> {
        let path = self.plan_path();
        let plan = serde_json::to_value(plan)
            .map_err(|source| StoreError::Json { path: path.clone(), source })?;
        self.write_json(&path, &perjury_secrets::clean(plan))
    }

    /// Writes `first-screen.json` in one step: what a page shows first of a history that is long to read.
    ///
    /// # Errors
    /// As [`RunDir::write_report`].
    pub fn write_first_screen(&self, view: &impl Serialize) -> Result<(), StoreError> {
        let path = self.path.join("first-screen.json");
        let bytes = serde_json::to_vec(view)
            .map_err(|source| StoreError::Json { path: path.clone(), source })?;
        atomic::write(&path, &bytes)
    }

    /// What a page shows first of the history as it is on disk now; `None` when nothing was kept, or of another history.
    ///
    /// # Errors
    /// As [`RunDir::status`].
    pub fn first_screen(&self) -> Result<Option<serde_json::Value>, StoreError> {
        let kept: Option<serde_json::Value> = self.read_json("first-screen.json")?;
        let bytes = self.file("history.jsonl")?.and_then(|p| fs::metadata(p).ok()).map(|m| m.len());
        Ok(kept.filter(|k| bytes.is_some() && k["history_bytes"].as_u64() == bytes))
    }

    /// Whether somebody said that the run is to stay whatever the rules of retention say.
    pub fn is_pinned(&self) -> bool {
        fs::symlink_metadata(self.pin_path()).is_ok()
    }

    /// Says that the run is to stay, or no longer.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file system refuses.
    pub fn pin(&self, pinned: bool) -> Result<(), StoreError> {
        let path = self.pin_path();
        if pinned {
            return atomic::write(&path, b"");
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(StoreError::io("delete", &path)),
        }
    }

    fn pin_path(&self) -> PathBuf {
        self.path.join("pinned")
    }

    /// Says that this process writes the run from now on.
    ///
    /// # Errors
    /// As [`RunDir::write_report`].
    pub fn mark_running(&self, started: DateTime<Utc>) -> Result<(), StoreError> {
        self.write_json(&self.status_path(), &StatusFile::running(started))
    }

    /// Says that the run finished what it had planned.
    ///
    /// # Errors
    /// As [`RunDir::write_report`]; also when `status.json` is there and unreadable.
    pub fn mark_complete(&self, finished: DateTime<Utc>) -> Result<(), StoreError> {
        self.mark(WriterState::Complete, finished, None)
    }

    /// Says that the run was stopped before its end, and why.
    ///
    /// # Errors
    /// As [`RunDir::mark_complete`].
    pub fn mark_interrupted(&self, finished: DateTime<Utc>, why: &str) -> Result<(), StoreError> {
        self.mark(WriterState::Interrupted, finished, Some(why.to_owned()))
    }

    fn mark(
        &self,
        state: WriterState,
        finished: DateTime<Utc>,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        let before = self
            .status()?
            .unwrap_or_else(|| StatusFile::running(self.id.started().unwrap_or(finished)));
        let after = StatusFile { status: state, finished: Some(finished), reason, ..before };
        self.write_json(&self.status_path(), &after)
    }

    /// What the writer last said of itself; `None` for a directory without `status.json`, such as a copied history.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Json`] or [`StoreError::TooLarge`], each with the path.
    pub fn status(&self) -> Result<Option<StatusFile>, StoreError> {
        self.read_json("status.json")
    }

    /// The report as it stands on disk; `None` when there is none.
    ///
    /// # Errors
    /// As [`RunDir::status`].
    pub fn report<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        self.read_json("report.json")
    }

    /// The plan as it stands on disk; `None` when there is none.
    ///
    /// # Errors
    /// As [`RunDir::status`].
    pub fn plan<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        self.read_json("plan.json")
    }

    /// The first line of the history as JSON, without reading the rest; `None` when there is no history, or its first
    /// line is not a header of ours.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file is there and cannot be read.
    pub fn header(&self) -> Result<Option<serde_json::Value>, StoreError> {
        let Some(path) = self.file("history.jsonl")? else { return Ok(None) };
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let mut line = Vec::new();
        let mut reader = std::io::BufReader::new(file.take(HEADER_BYTES_MAX));
        std::io::BufRead::read_until(&mut reader, b'\n', &mut line)
            .map_err(StoreError::io("read", &path))?;
        let header = serde_json::from_slice::<serde_json::Value>(&line).ok();
        Ok(header.filter(|h| h.get("perjury").is_some_and(|p| p == "history")))
    }

    /// The path of a file that may be taken away, given by its path inside the run: one of the files at the top, or
    /// a plain file directly in a node's directory. `None` when there is no such regular file; symbolic links are not
    /// followed.
    ///
    /// # Errors
    /// [`StoreError::BadId`] when a component could lead elsewhere.
    pub fn file(&self, relative: &str) -> Result<Option<PathBuf>, StoreError> {
        let parts: Vec<&str> = relative.split('/').collect();
        let known = match parts.as_slice() {
            [top] => TOP_FILES.contains(top),
            ["nodes", node, file] => {
                component(node)?;
                component(file)?;
                true
            }
            _ => false,
        };
        if !known {
            return Ok(None);
        }
        let mut path = self.path.clone();
        for (i, part) in parts.iter().enumerate() {
            path.push(part);
            let Ok(meta) = fs::symlink_metadata(&path) else { return Ok(None) };
            let right = if i + 1 == parts.len() { meta.is_file() } else { meta.is_dir() };
            if !right {
                return Ok(None);
            }
        }
        Ok(Some(path))
    }

    /// All files that may be taken away, in a stable order, at most 1,000.
    pub fn files(&self) -> Vec<FileEntry> {
        let mut names: Vec<String> = TOP_FILES.iter().map(|f| (*f).to_owned()).collect();
        for node in self.nodes() {
            let entries = entries(&self.nodes_path().join(&node));
            names.extend(entries.iter().map(|file| format!("nodes/{node}/{file}")));
        }
        let sized = names.into_iter().filter_map(|name| {
            let path = self.file(&name).ok().flatten()?;
            Some(FileEntry { path: name, bytes: fs::metadata(path).ok()?.len() })
        });
        sized.take(FILES_MAX).collect()
    }

    /// The names of the nodes that left a directory, in a stable order (numbers by size).
    pub fn nodes(&self) -> Vec<String> {
        let mut nodes = entries(&self.nodes_path());
        nodes.sort_by_key(|n| (n.parse::<u64>().unwrap_or(u64::MAX), n.clone()));
        nodes
    }

    fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|source| StoreError::Json { path: path.into(), source })?;
        bytes.push(b'\n');
        atomic::write(path, &bytes)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let Some(path) = self.file(name)? else { return Ok(None) };
        let bytes = fs::metadata(&path).map_err(StoreError::io("read", &path))?.len();
        if bytes > JSON_BYTES_MAX {
            return Err(StoreError::TooLarge { path, bytes, max: JSON_BYTES_MAX });
        }
        let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let value = serde_json::from_slice(&text);
        value.map(Some).map_err(|source| StoreError::Json { path, source })
    }
}

/// The plain names in a directory, sorted; none when it cannot be read.
pub(crate) fn entries(dir: &Path) -> Vec<String> {
    let Ok(read) = fs::read_dir(dir) else { return Vec::new() };
    let names = read.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|n| id::component(n).is_ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> (tempfile::TempDir, RunDir) {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(RunId::new("a", "t").unwrap(), dir.path().to_owned());
        (dir, run)
    }

    #[test]
    fn only_known_regular_files_are_handed_out() {
        let (dir, run) = run();
        fs::write(run.history_path(), "x").unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        let node = run.node_dir("1").unwrap();
        fs::write(node.join("stdout.log"), "line").unwrap();
        fs::create_dir(node.join("data")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", node.join("link.log")).unwrap();
        std::os::unix::fs::symlink("/etc", run.nodes_path().join("9")).unwrap();

        assert!(run.file("history.jsonl").unwrap().is_some());
        assert!(run.file("nodes/1/stdout.log").unwrap().is_some());
        for absent in
            ["secret", "nodes/1/data", "nodes/1/link.log", "nodes/9/passwd", "nodes", "nodes/1", ""]
        {
            assert_eq!(run.file(absent).unwrap(), None, "{absent}");
        }
        for refused in ["nodes/../secret", "nodes/1/..", "nodes/1/.hidden", "nodes//x"] {
            assert!(run.file(refused).is_err(), "{refused}");
        }
        let listed: Vec<String> = run.files().into_iter().map(|f| f.path).collect();
        assert_eq!(listed, ["history.jsonl", "nodes/1/stdout.log"]);
        assert!(run.node_dir("../x").is_err());
    }

    #[test]
    fn a_password_among_the_client_properties_never_reaches_the_plan() {
        let (dir, run) = run();
        let plan = serde_json::json!({"client": {"properties": {"sasl.password": "hunter2"}}});
        run.write_plan(&plan).unwrap();
        let text = fs::read_to_string(dir.path().join("plan.json")).unwrap();
        assert!(text.contains("sasl.password") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_pin_comes_and_goes() {
        let (_dir, run) = run();
        assert!(!run.is_pinned());
        run.pin(false).unwrap();
        run.pin(true).unwrap();
        run.pin(true).unwrap();
        assert!(run.is_pinned());
        run.pin(false).unwrap();
        assert!(!run.is_pinned());
    }

    #[test]
    fn nodes_are_listed_by_number() {
        let (_dir, run) = run();
        for n in ["10", "2", "zoo"] {
            run.node_dir(n).unwrap();
        }
        assert_eq!(run.nodes(), ["2", "10", "zoo"]);
    }

    #[test]
    fn a_status_runs_and_ends() {
        let (_dir, run) = run();
        assert_eq!(run.status().unwrap(), None);
        let start = Utc::now();
        run.mark_running(start).unwrap();
        assert!(run.status().unwrap().unwrap().writer_lives());
        run.mark_interrupted(start, "Ctrl-C").unwrap();
        let status = run.status().unwrap().unwrap();
        assert_eq!(status.status, WriterState::Interrupted);
        assert_eq!(status.started, start);
        assert_eq!(status.reason.as_deref(), Some("Ctrl-C"));
    }

    #[test]
    fn a_header_is_read_without_the_rest() {
        let (_dir, run) = run();
        assert_eq!(run.header().unwrap(), None);
        fs::write(run.history_path(), b"{\"perjury\":\"history\",\"name\":\"n\"}\n\xff\xff")
            .unwrap();
        assert_eq!(run.header().unwrap().unwrap()["name"], "n");
        fs::write(run.history_path(), b"\xff\xfe").unwrap();
        assert_eq!(run.header().unwrap(), None);
    }
}
