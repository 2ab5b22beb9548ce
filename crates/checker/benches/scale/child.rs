//! Work that is measured in processes of its own.

use perjury_checker::{Options, check};
use perjury_history::{History, ReadOptions, edn, formats, jsonl, parquet};
use perjury_sim::generate;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;

const CHILD: &str = "--child";

/// The forms in which a history is written, by the endings of their names.
pub(crate) const FORMS: [&str; 3] = ["jsonl", "edn", "parquet"];

/// What one process measured.
pub(crate) struct Measured {
    pub(crate) operations: f64,
    pub(crate) records: f64,
    /// The size of the file; 0 when there was none.
    pub(crate) bytes: f64,
    pub(crate) read_s: f64,
    pub(crate) check_s: f64,
    /// The peak resident memory in bytes.
    pub(crate) peak: f64,
}

/// The words of a child's command line, if this is one.
pub(crate) fn words(args: &[String]) -> Option<&[String]> {
    args.split_first().filter(|(first, _)| *first == CHILD).map(|(_, words)| words)
}

/// Makes a history of this size, checks it in memory, and leaves it in `folder` in every form.
pub(crate) fn make(operations: u64, folder: &Path) -> Result<Measured, Box<dyn Error>> {
    start(&["make", &operations.to_string(), &folder.to_string_lossy()])
}

/// Reads and checks the file of this form in `folder`.
pub(crate) fn measure(form: &str, folder: &Path) -> Result<Measured, Box<dyn Error>> {
    start(&["measure", form, &folder.to_string_lossy()])
}

fn start(words: &[&str]) -> Result<Measured, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?).arg(CHILD).args(words).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    let [operations, records, bytes, read_s, check_s, peak] = figures.as_slice() else {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("{} gave no result: {said}", words.join(" ")).into());
    };
    let (operations, records, bytes) = (*operations, *records, *bytes);
    Ok(Measured { operations, records, bytes, read_s: *read_s, check_s: *check_s, peak: *peak })
}

/// The work of a child: prints operations, records, bytes, seconds of reading and checking, and peak memory.
pub(crate) fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    match words {
        [what, size, folder] if what == "make" => {
            let (history, _) = generate(&perjury_sim::Options::sized(size.parse()?, 1));
            let began = on_core()?;
            let operations = check(&history, &Options::default()).operations;
            let check_s = on_core()? - began;
            for form in FORMS {
                write(&history, form, &file(folder, form))?;
            }
            println!("{operations} {} 0 0 {check_s} 0", history.records_len());
        }
        [what, form, folder] if what == "measure" => {
            let path = file(folder, form);
            let bytes = std::fs::metadata(&path)?.len();
            let began = on_core()?;
            let history = read(&path, form)?;
            let read_s = on_core()? - began;
            let began = on_core()?;
            let operations = check(&history, &Options::default()).operations;
            let check_s = on_core()? - began;
            let records = history.records_len();
            println!("{operations} {records} {bytes} {read_s} {check_s} {}", peak()?);
        }
        other => return Err(format!("{other:?} is no work of a child").into()),
    }
    Ok(())
}

fn file(folder: &str, form: &str) -> PathBuf {
    Path::new(folder).join("history").with_extension(form)
}

fn write(history: &History, form: &str, path: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    match form {
        "jsonl" => jsonl::write(history, &mut out),
        "edn" => edn::write_edn(history, &mut out),
        _ => parquet::write(history, &mut out),
    }
}

fn read(path: &Path, form: &str) -> Result<History, Box<dyn Error>> {
    let file = File::open(path)?;
    if form == "parquet" {
        return Ok(parquet::read(file, "bench", &ReadOptions::default())?);
    }
    Ok(formats::read_any(BufReader::with_capacity(1 << 20, file), "bench", None)?)
}

/// How many seconds this process has spent on a core, as the kernel counts them: what else the machine does hardly shows
/// in it.
pub(crate) fn on_core() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().ok_or("the kernel does not tell the time")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

/// The peak resident memory in bytes, as the kernel counts it.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.ok_or("the kernel does not tell the peak")?.trim().trim_end_matches("kB");
    Ok(kib.trim().parse::<u64>()? * 1024)
}
