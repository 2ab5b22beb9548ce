//! Faults that cannot be injected are refused before anything starts.

use crate::plan::RunPlan;
use perjury_cluster::privileges::privileges;
use perjury_cluster::{Driver, Placement};

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
