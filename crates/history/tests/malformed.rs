//! The corpus of malformed files: each has an expectation of its own beside it.

use perjury_history::{ReadOptions, formats, jsonl};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Part of the message, when the file cannot be read.
    error: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    /// What is left, when it can.
    events: Option<usize>,
    torn_bytes: Option<u64>,
    because: String,
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../histories/malformed");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn each_file_is_refused_or_salvaged_as_expected() {
    let cases = cases();
    assert!(cases.len() >= 30, "{} files", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|path| judge(path).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judge(path: &Path) -> Result<(), String> {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let expected = std::fs::read(path.with_extension("expected.json")).expect("an expectation");
    let expected: Expected = serde_json::from_slice(&expected).expect("an expectation");
    let text = std::fs::read(path).expect("the file");
    let read = if name.starts_with("foreign-") {
        formats::read_any(text.as_slice(), &name, None)
    } else {
        jsonl::read(text.as_slice(), &name, &ReadOptions::default())
    };
    let right = match (&read, &expected.error) {
        (Ok(history), None) => {
            Some(history.len()) == expected.events
                && Some(history.torn_bytes) == expected.torn_bytes
                && history.torn == (history.torn_bytes > 0)
        }
        (Err(error), Some(part)) => {
            error.to_string().contains(part)
                && error.to_string().starts_with(&name)
                && expected.line.is_none_or(|line| line == error.line)
                && expected.column.is_none_or(|column| column == error.column)
        }
        _ => false,
    };
    let found = match read {
        Ok(history) => format!("{} events, {} bytes torn", history.len(), history.torn_bytes),
        Err(error) => error.to_string(),
    };
    let right = right && !expected.because.is_empty();
    if right { Ok(()) } else { Err(format!("{name}: {found}")) }
}

#[test]
fn the_source_itself_may_fail() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let source = std::io::BufReader::new(Broken);
    let error = jsonl::read(source, "x.jsonl", &ReadOptions::default()).expect_err("an error");
    assert!(error.to_string().contains("the disk is gone"));
}
