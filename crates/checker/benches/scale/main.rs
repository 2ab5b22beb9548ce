//! Throughput and peak memory of reading and checking generated queue histories, by size.
//!
//! Each size runs in a process of its own, so that its peak memory is its own. The closing line fits time = c · nᵏ over
//! all sizes. Arguments: the sizes in operations; 10⁴, 10⁵ and 10⁶ when absent.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, its arguments and its own memory"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use perjury_checker::{Options, check};
use perjury_history::jsonl::{self, ReadOptions};
use perjury_sim::generate;
use std::process::Command;
use std::time::Instant;

const CHILD: &str = "--one-size";
const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [flag, size] = args.as_slice()
        && flag == CHILD
    {
        one(size.parse().unwrap_or(0));
        return;
    }
    let mut sizes: Vec<u64> = args.iter().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000, 1_000_000];
    }
    println!(
        "| operations | polled records | JSONL MiB | read s | check s | operations/s | peak MiB | peak ÷ file |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut points = Vec::new();
    for size in sizes {
        let Ok(this) = std::env::current_exe() else { return };
        let Ok(output) = Command::new(this).args([CHILD, &size.to_string()]).output() else {
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [operations, records, bytes, read, checked, peak] = figures.as_slice() else {
            println!("| {size} | no result: {} |", String::from_utf8_lossy(&output.stderr).trim());
            continue;
        };
        println!(
            "| {operations} | {records} | {:.0} | {read:.2} | {checked:.2} | {:.0} | {:.0} | {:.1} |",
            bytes / MIB,
            operations / (read + checked),
            peak / MIB,
            peak / bytes
        );
        points.push((operations.ln(), checked.max(1e-6).ln()));
    }
    if let Some(exponent) = slope(&points) {
        println!("\ncheck time grows as n^{exponent:.2} over these sizes");
    }
}

/// Generates, writes and forgets a history of this size, then reads and checks it.
fn one(operations: u64) {
    let mut file = Vec::new();
    {
        let (history, _) = generate(&perjury_sim::Options::sized(operations, 1));
        if jsonl::write(&history, &mut file).is_err() {
            return;
        }
    }
    let path = std::env::temp_dir().join(format!("perjury-bench-{}.jsonl", std::process::id()));
    let written = std::fs::write(&path, &file);
    let bytes = file.len();
    drop(file);
    reset_peak();
    let began = Instant::now();
    let history = written.ok().and_then(|()| std::fs::File::open(&path).ok()).and_then(|file| {
        jsonl::read(
            std::io::BufReader::with_capacity(1 << 20, file),
            "bench",
            &ReadOptions::default(),
        )
        .ok()
    });
    let read = began.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    let Some(history) = history else { return };
    let began = Instant::now();
    let report = check(&history, &Options::default());
    let checked = began.elapsed().as_secs_f64();
    println!("{} {} {bytes} {read} {checked} {}", report.operations, history.records_len(), peak());
}

/// Lets the kernel count the peak anew, so that generating does not count.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak resident memory in bytes, from `/proc/self/status`; 0 where there is none.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// The least-squares slope of y over x.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 2 {
        return None;
    }
    let n = points.len() as f64;
    let (mx, my) =
        (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let above: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    Some(above / below)
}
