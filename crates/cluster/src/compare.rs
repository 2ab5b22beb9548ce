//! Two configurations of clusters side by side.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// How deep folders are gone into: a run's nodes are at the second level.
const DEPTH_MAX: usize = 3;
/// A configuration file is not longer than this.
const BYTES_MAX: u64 = 1 << 20;

/// A setting that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The setting, with the file before it where folders are compared: `nodes/1/node.toml: bind.raft`.
    pub setting: String,
    /// Its value on the left; absent when it is not set there. Secrets are removed.
    pub left: Option<String>,
    /// Its value on the right.
    pub right: Option<String>,
}

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot compare {}: {why}; give two files or folders, such as two run directories", path.display())]
pub struct CompareError {
    /// The file or folder.
    pub path: PathBuf,
    /// The reason.
    pub why: String,
}

/// Compares two files, or two folders file by file (such as two runs): TOML, JSON, and lines of `key=value`.
///
/// # Errors
/// [`CompareError`] when one cannot be read or has no settings.
pub fn compare(left: &Path, right: &Path) -> Result<Vec<Difference>, CompareError> {
    let (left, right) = (settings_of(left)?, settings_of(right)?);
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    Ok(differing
        .map(|name| {
            let shown = |side: &BTreeMap<String, String>| side.get(name).map(|v| shown(name, v));
            Difference { setting: name.clone(), left: shown(&left), right: shown(&right) }
        })
        .collect())
}

fn shown(name: &str, value: &str) -> String {
    let key = name.rsplit([' ', ':']).next().unwrap_or(name);
    if perjury_secrets::is_secret_name(key) {
        return perjury_secrets::REMOVED.to_owned();
    }
    value.to_owned()
}

fn settings_of(path: &Path) -> Result<BTreeMap<String, String>, CompareError> {
    let failed = |why: String| CompareError { path: path.to_owned(), why };
    let mut settings = BTreeMap::new();
    if path.is_dir() {
        let mut files = Vec::new();
        collect(path, 0, &mut files).map_err(|error| failed(error.to_string()))?;
        for file in files {
            let name = file.strip_prefix(path).unwrap_or(&file).display().to_string();
            let parsed = parse(&file)?;
            settings
                .extend(parsed.into_iter().map(|(key, value)| (format!("{name}: {key}"), value)));
        }
    } else {
        settings = parse(path)?;
    }
    if settings.is_empty() {
        return Err(failed("it has no settings (TOML, JSON or lines of key=value)".to_owned()));
    }
    Ok(settings)
}

/// The configuration files of a folder, by their extensions.
fn collect(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let data = path.file_name().is_some_and(|name| name == "data");
        if kind.is_dir() && depth < DEPTH_MAX && !data {
            collect(&path, depth + 1, files)?;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_config = matches!(extension, Some("toml" | "properties" | "env" | "conf"))
            || path.file_name().is_some_and(|name| name == "config.json");
        if kind.is_file() && is_config {
            files.push(path);
        }
    }
    Ok(())
}

fn parse(path: &Path) -> Result<BTreeMap<String, String>, CompareError> {
    let failed = |why: String| CompareError { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(failed(format!("{length} bytes are too many for a configuration")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut settings = BTreeMap::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => {
            let value: serde_json::Value =
                toml::from_str(&text).map_err(|error| failed(error.message().to_owned()))?;
            flatten("", &value, &mut settings);
        }
        Some("json") => {
            let value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
            flatten("", &value, &mut settings);
        }
        _ => {
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
            let pairs = lines.filter_map(|line| line.trim_start_matches("export ").split_once('='));
            settings
                .extend(pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())));
        }
    }
    Ok(settings)
}

fn flatten(prefix: &str, value: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    let below = |name: &str| match prefix {
        "" => name.to_owned(),
        _ => format!("{prefix}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&below(name), value, into);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&below(&index.to_string()), value, into);
            }
        }
        Value::String(text) => {
            into.insert(prefix.to_owned(), text.clone());
        }
        other => {
            into.insert(prefix.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told_and_secrets_are_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let (left, right) = (dir.path().join("a.properties"), dir.path().join("b.properties"));
        std::fs::write(&left, "# c\nnode.id=1\nacks=all\nssl.key.password=x\n").unwrap();
        std::fs::write(&right, "node.id=2\nacks=all\nssl.key.password=y\nmore=1\n").unwrap();
        let found = compare(&left, &right).unwrap();
        let names: Vec<_> = found.iter().map(|d| d.setting.as_str()).collect();
        assert_eq!(names, ["more", "node.id", "ssl.key.password"]);
        assert_eq!(found[0].left, None);
        assert_eq!(found[2].right.as_deref(), Some(perjury_secrets::REMOVED));
    }

    #[test]
    fn folders_are_compared_file_by_file() {
        let dir = tempfile::tempdir().unwrap();
        for (side, raft) in [("a", 3), ("b", 4)] {
            let node = dir.path().join(side).join("nodes/1");
            std::fs::create_dir_all(&node).unwrap();
            std::fs::write(node.join("node.toml"), format!("[bind]\nraft = 'h:{raft}'\n")).unwrap();
        }
        let found = compare(&dir.path().join("a"), &dir.path().join("b")).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].setting, "nodes/1/node.toml: bind.raft");
        let error = compare(&dir.path().join("c"), &dir.path().join("b")).unwrap_err();
        assert!(error.to_string().contains("cannot compare"), "{error}");
    }
}
