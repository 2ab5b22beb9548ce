//! Prints how long it takes to make a history, to write it and to read it, and how large it is in memory.
//!
//! `cargo run --release -p perjury-sim --example size -- OPERATIONS [lean]`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool, not part of the library"
)]

use perjury_history::{ReadOptions, jsonl};
use perjury_sim::{Mix, Options, generate};
use std::time::Instant;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    field("VmRSS:").unwrap_or(0) / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let operations: u64 = args.next().unwrap_or_else(|| "100000".into()).parse()?;
    let lean = args.next().is_some();
    let mut options = Options::sized(operations, 1);
    if lean {
        options = Options {
            final_readers: 3,
            mix: Mix { send: 1.0, poll: 1.0, txn: 0.2 },
            mops_max: 2,
            ..options
        };
    }
    let (before, start) = (resident(), Instant::now());
    let (history, _) = generate(&options);
    println!(
        "{} operations, {} events, {} micro-operations, {} records",
        history.operations(),
        history.len(),
        history.mops_len(),
        history.records_len()
    );
    println!("generated in {:.2?}, {} MiB resident", start.elapsed(), resident() - before);
    let path = std::env::temp_dir().join(format!("perjury-size-{}.jsonl", std::process::id()));
    let start = Instant::now();
    jsonl::write(
        &history,
        std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(&path)?),
    )?;
    let bytes = std::fs::metadata(&path)?.len();
    println!("{} MiB written in {:.2?}", bytes >> 20, start.elapsed());
    drop(history);
    let (before, start) = (resident(), Instant::now());
    let file = std::io::BufReader::with_capacity(1 << 16, std::fs::File::open(&path)?);
    let history = jsonl::read(file, "size.jsonl", &ReadOptions::default())?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "read in {seconds:.2} s, {:.0} MB/s, {} MiB more resident",
        bytes as f64 / 1e6 / seconds,
        resident().saturating_sub(before)
    );
    println!("{} records", history.records_len());
    std::fs::remove_file(&path)?;
    Ok(())
}
