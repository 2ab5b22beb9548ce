//! Histories for another linearizability checker, and our own answers to them: see `cargo xtask compare-porcupine`.
//!
//! Argument: a folder. It gets one file a history, one operation a line, and `ours.jsonl` with one line a history: its name,
//! our answer and our time. The time includes taking the history apart by object; the fastest of some tries counts.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and its arguments, and writes files"
)]

use perjury_checker::linear::{Decision, Limits, ModelName, Options, decide};
use perjury_history::{History, Kind};
use perjury_sim::general::{Flaw, Model, ObjectOptions, objects};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [folder] = args.as_slice() else {
        return Err("the argument is the folder to write to".into());
    };
    let folder = Path::new(folder);
    let mut ours = BufWriter::new(File::create(folder.join("ours.jsonl"))?);
    for (at, (family, options)) in cases().iter().enumerate() {
        let history = objects(options);
        let name = format!("{at:03}");
        write(&history, options, &folder.join(format!("{name}.jsonl")))?;
        let (decision, seconds) = timed(&history, options);
        let operations = history.operations();
        let row = json!({
            "name": name, "family": family, "operations": operations, "clients": options.processes,
            "answer": decision, "seconds": seconds,
        });
        writeln!(ours, "{row}")?;
    }
    ours.flush()?;
    Ok(())
}

/// What is compared: families of histories that the other checker can decide as well.
fn cases() -> Vec<(&'static str, ObjectOptions)> {
    let mut cases = Vec::new();
    for (family, model, values, keys) in [
        ("register, unique values", Model::Register, 0, 1),
        ("register, few values", Model::Register, 4, 1),
        ("register with CAS, unique values", Model::CasRegister, 0, 1),
        ("register with CAS, few values", Model::CasRegister, 4, 1),
        ("key-value store", Model::Kv, 0, 4),
    ] {
        for (operations, processes, info_rate) in
            [(200, 5, 0.0), (200, 5, 0.02), (1000, 10, 0.0), (1000, 10, 0.01), (4000, 8, 0.0)]
        {
            for flaw in [None, Some(Flaw::Phantom), Some(Flaw::Stale)] {
                // A stale answer shows only where values are all new.
                if flaw == Some(Flaw::Stale) && values > 0 {
                    continue;
                }
                for seed in 0..2 {
                    let seeded = ObjectOptions::seeded(model, seed);
                    let base = ObjectOptions { operations, processes, info_rate, ..seeded };
                    cases.push((family, ObjectOptions { values, keys, flaw, ..base }));
                }
            }
        }
    }
    cases
}

/// Tries for each history.
const TRIES: usize = 3;

fn timed(history: &History, options: &ObjectOptions) -> (&'static str, f64) {
    let model = match options.model {
        Model::Kv => ModelName::Kv,
        _ => ModelName::CasRegister,
    };
    let chosen = Options { model: Some(model), certificate: false, ..Options::default() };
    let mut best = f64::MAX;
    let mut answer = "unknown";
    for _ in 0..TRIES {
        let mut limits = Limits::new(200_000_000, 2 << 30);
        let began = Instant::now();
        let outcome = decide(history, &chosen, &mut limits);
        best = best.min(began.elapsed().as_secs_f64());
        answer = match outcome.decision {
            Decision::Linearizable => "ok",
            Decision::NotLinearizable => "illegal",
            Decision::Unknown => "unknown",
        };
    }
    (answer, best)
}

/// Writes one operation a line: what was asked of which key, the answer if there is one, and the two events. What failed
/// with an error did not happen and is left out; a compare-and-set that failed without one saw another value.
fn write(history: &History, options: &ObjectOptions, path: &Path) -> Result<(), Box<dyn Error>> {
    let model = if options.model == Model::Kv { "kv" } else { "register" };
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "{}", json!({ "model": model }))?;
    for call in (0..history.len()).filter(|i| history.kind(*i) == Kind::Invoke) {
        let done = history.pair(call);
        let kind = done.map_or(Kind::Info, |d| history.kind(d));
        let failed = kind == Kind::Fail;
        if failed && done.is_some_and(|d| history.error(d).is_some()) {
            continue;
        }
        let extra = history.extra(call);
        let key = extra.and_then(|e| e.ext.get("key")).and_then(Value::as_i64).unwrap_or(0);
        let answered = done.filter(|_| matches!(kind, Kind::Ok | Kind::Fail));
        let row = json!({
            "process": history.process(call).map(|p| p.to_string()),
            "call": call, "return": answered, "key": key, "f": history.f(call).as_str(),
            "asked": history.json(call),
            "answer": answered.and_then(|d| history.json(d)),
            "failed": failed,
        });
        writeln!(out, "{row}")?;
    }
    out.flush()?;
    Ok(())
}
