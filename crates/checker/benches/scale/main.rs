//! Throughput and peak memory of reading and checking generated histories on one core, by size and form.
//!
//! A queue history of each size (about 13 polled records an operation, as a final phase on every thread leaves them) is
//! made once, checked in memory, and written in every form; then each form is read and checked in a process of its own,
//! so that its peak memory is its own. The closing lines fit time = c · nᵏ over all sizes, and decide linearizability of
//! a log and of a register. Seconds are those that the process spent on a core. Arguments: the sizes in operations.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads its arguments, its own files, time and memory"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod child;
mod objects;

use child::Measured;
use std::error::Error;
use std::path::Path;

pub(crate) const MIB: f64 = 1024.0 * 1024.0;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let Some(words) = child::words(&args) {
        return child::run(words);
    }
    let sizes = args.iter().map(|a| a.parse()).collect::<Result<Vec<u64>, _>>()?;
    let folder = std::env::temp_dir().join(format!("perjury-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = tables(&sizes, &folder);
    // Whatever happened, nothing is left behind.
    std::fs::remove_dir_all(&folder)?;
    done
}

fn tables(sizes: &[u64], folder: &Path) -> Result<(), Box<dyn Error>> {
    println!(
        "| operations | polled records | from | file MiB | read s | check s | operations/s | peak MiB | peak ÷ file |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let (mut memory, mut native) = (Vec::new(), Vec::new());
    for size in sizes {
        let made = child::make(*size, folder)?;
        println!("{}", made.row("memory"));
        memory.push((made.operations.ln(), made.check_s.max(1e-6).ln()));
        for form in child::FORMS {
            let measured = child::measure(form, folder)?;
            println!("{}", measured.row(form));
            if form == "jsonl" {
                native.push((measured.operations.ln(), measured.total().max(1e-6).ln()));
            }
        }
    }
    for (what, points) in [("the check in memory", memory), ("JSONL to report", native)] {
        if let Some(exponent) = slope(&points) {
            println!("\n{what} grows as n^{exponent:.2} over these sizes");
        }
    }
    objects::table(sizes.iter().copied().max().unwrap_or(0).min(1_000_000))
}

impl Measured {
    fn total(&self) -> f64 {
        self.read_s + self.check_s
    }

    /// A row of the table. In memory there is no file, and the peak would be that of generating.
    fn row(&self, form: &str) -> String {
        let (operations, records, check) = (self.operations, self.records, self.check_s);
        let rate = operations / self.total().max(1e-6);
        if self.bytes == 0.0 {
            return format!(
                "| {operations} | {records} | {form} | – | – | {check:.2} | {rate:.0} | – | – |"
            );
        }
        format!(
            "| {operations} | {records} | {form} | {:.0} | {:.2} | {check:.2} | {rate:.0} | {:.0} | {:.1} |",
            self.bytes / MIB,
            self.read_s,
            self.peak / MIB,
            self.peak / self.bytes
        )
    }
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
