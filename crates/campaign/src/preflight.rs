//! What can be said of a plan's faults before anything starts: those that cannot be injected are refused, and those for which
//! there is no time are named.

use crate::plan::RunPlan;
use perjury_cluster::privileges::privileges;
use perjury_cluster::{Driver, Placement};
use perjury_worker::faults::FaultKind;
use perjury_worker::plan::WorkerPlan;
use std::time::Duration;

/// By how many milliseconds a time limit is raised to see whether it would do, and how often.
const LONGER: (u64, u32) = (5_000, 200);

/// Why faults of the plan cannot be injected: by this driver, or on this machine. Tries what the
/// plan's placement needs, which takes about half a second where it needs anything.
pub(crate) fn refused_faults(plan: &RunPlan, driver: &dyn Driver) -> Vec<String> {
    let asked = plan.worker.fault_kinds();
    let machine =
        if plan.cluster.placement == Placement::default() { Vec::new() } else { privileges() };
    let mut refused = Vec::new();
    if plan.cluster.placement.namespaces
        && let Err(why) = perjury_cluster::privileges::namespaces()
    {
        refused.push(format!("nodes cannot have network namespaces: {why}"));
    }
    for fault in asked {
        let here = machine.iter().find(|(other, _)| *other == fault);
        let here = here.map_or(&Ok(()), |(_, outcome)| outcome);
        if let Err(why) = driver.supports(fault) {
            refused.push(format!("{} cannot inject {fault}: {why}", driver.name()));
        } else if let Err(why) = here {
            refused.push(format!("this machine cannot inject {fault}: {why}"));
        }
    }
    refused
}

/// Which kinds of faults the plan asks for and has no time for, in a sentence with a time limit that would do. A run that
/// lacks one of them is never valid, which one likes to know before it is made.
#[must_use]
pub fn never_injected(plan: &RunPlan) -> Option<String> {
    let missing = |worker: &WorkerPlan| -> Vec<FaultKind> {
        let injected = |kind: &FaultKind| worker.schedule.iter().any(|fault| fault.f == *kind);
        worker.nemesis.iter().copied().filter(|kind| !injected(kind)).collect()
    };
    let left_out = missing(&plan.worker);
    if plan.scenario.is_some() || left_out.is_empty() {
        return None;
    }
    let mut longer = plan.worker.clone();
    let (step, tries) = LONGER;
    let enough = (0..tries).find_map(|_| {
        longer.time_limit_ms += step;
        longer.schedule_faults();
        missing(&longer).is_empty().then(|| Duration::from_millis(longer.time_limit_ms))
    });
    let names: Vec<&str> = left_out.iter().map(|kind| kind.as_str()).collect();
    let remedy = enough.map_or_else(String::new, |limit| {
        let limit = humantime::format_duration(limit).to_string().replace(' ', "");
        format!("--time-limit {limit} would do, or ")
    });
    Some(format!(
        "there is no time for {}, and without it the verdict cannot be valid: {remedy}a shorter --nemesis-interval or \
         --fault-duration",
        names.join(", "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn kinds_of_faults_without_time_are_named_with_a_time_limit_that_does() {
        let told = |limit: &str| {
            let text = format!(
                "nemesis = [\"kill\", \"pause\", \"restart\"]\ntime_limit = \"{limit}\"\nnemesis_interval = \"10s\""
            );
            let settings: Settings = toml::from_str(&text).unwrap();
            never_injected(&settings.resolve("a", 7).unwrap())
        };
        let sentence = told("12s").unwrap();
        let (_, rest) = sentence.split_once("--time-limit ").unwrap();
        let (enough, _) = rest.split_once(" would do").unwrap();
        assert_eq!(told(enough), None, "{sentence}");
        assert_eq!(sentence.matches("kill").count() + sentence.matches("pause").count(), 1);
    }
}
