//! Prints how long it takes to make a history, to write it and to read it, and how much memory it takes.
//!
//! `cargo run --release -p perjury-sim --example size -- OPERATIONS [full|lean|log|register|lists] [jsonl|edn]`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool, not part of the library"
)]

use perjury_history::{History, ReadOptions, edn, formats, jsonl};
use perjury_sim::general::{Model, ObjectOptions, StoreOptions, objects, transactions};
use perjury_sim::{Options, generate};
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::time::Instant;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn make(operations: u64, what: &str) -> Result<History, String> {
    let object = |model| ObjectOptions {
        operations,
        processes: 50,
        info_rate: 0.1,
        ..ObjectOptions::seeded(model, 1)
    };
    match what {
        "full" => Ok(generate(&Options::sized(operations, 1)).0),
        "lean" => {
            let sized = Options::sized(operations, 1);
            Ok(generate(&Options { processes: 4, final_readers: 1, ..sized }).0)
        }
        "log" => Ok(objects(&object(Model::Log))),
        "register" => Ok(objects(&object(Model::Register))),
        "lists" => Ok(transactions(&StoreOptions { operations, ..StoreOptions::seeded(1) }).0),
        other => Err(format!("{other:?} is none of full, lean, log, register, lists")),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let operations: u64 = args.next().unwrap_or_else(|| "100000".into()).parse()?;
    let what = args.next().unwrap_or_else(|| "full".into());
    let native = args.next().is_none_or(|format| format == "jsonl");
    let (before, start) = (resident(), Instant::now());
    let history = make(operations, &what)?;
    println!(
        "{} operations, {} events, {} micro-operations, {} records",
        history.operations(),
        history.len(),
        history.mops_len(),
        history.records_len()
    );
    println!("generated in {:.2?}, {} MiB resident", start.elapsed(), resident() - before);
    let path = std::env::temp_dir().join(format!("perjury-size-{}", std::process::id()));
    let start = Instant::now();
    let to = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    if native {
        jsonl::write(&history, to)?
    } else {
        edn::write_edn(&history, to)?
    }
    let mib = std::fs::metadata(&path)?.len() >> 20;
    println!("{mib} MiB written in {:.2?}", start.elapsed());
    drop(history);
    let (before, start) = (resident(), Instant::now());
    let from = BufReader::with_capacity(1 << 16, File::open(&path)?);
    let history = if native {
        jsonl::read(from, "size", &ReadOptions::default())?
    } else {
        formats::read_any(from, "size", None)?
    };
    let more = resident().saturating_sub(before);
    println!("read in {:.2?}, {more} MiB more resident, {} events", start.elapsed(), history.len());
    std::fs::remove_file(&path)?;
    Ok(())
}
