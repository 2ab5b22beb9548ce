//! Linearizability of large histories.

use super::child::on_core;
use perjury_checker::linear::{Limits, Options, decide};
use perjury_sim::general::{Model, ObjectOptions, objects};
use std::error::Error;

/// Clients at the same time.
const PROCESSES: u32 = 50;

/// Decides a log and a register of this many operations, with 50 clients.
pub(crate) fn table(operations: u64) -> Result<(), Box<dyn Error>> {
    println!("\n| history | operations | clients | unknown outcomes | decided | seconds |");
    println!("|---|---|---|---|---|---|");
    for (name, model, info_rate) in [
        ("append log", Model::Log, 0.1),
        ("register, unique values", Model::Register, 0.0),
        ("register, unique values", Model::Register, 0.1),
        ("queue", Model::Queue, 0.0),
    ] {
        let options = ObjectOptions {
            operations,
            processes: PROCESSES,
            info_rate,
            ..ObjectOptions::seeded(model, 1)
        };
        let history = objects(&options);
        let mut limits = Limits::new(u64::MAX, 4 << 30);
        let began = on_core()?;
        let outcome = decide(&history, &Options::default(), &mut limits);
        let seconds = on_core()? - began;
        println!(
            "| {name} | {operations} | {PROCESSES} | {:.0} % | {:?} | {seconds:.2} |",
            info_rate * 100.0,
            outcome.decision
        );
    }
    Ok(())
}
