//! The set of error types that Jepsen's `tests.kafka` allows (its function `allowed-error-types`).

use super::{Promises, Rule};
use crate::anomalies;
use crate::report::Judgement;

/// Allowed under every option: other records between two sends, and interleaved writes, are how Kafka works.
const ALWAYS: [&str; 6] = [
    "int-send-skip",
    "G0",
    "G0-process",
    "G0-realtime",
    "PL-1-cycle-exists",
    "strong-PL-1-cycle-exists",
];

/// Allowed if consumers subscribe: a rebalance between two polls may move them.
const SUBSCRIBE: [&str; 2] = ["poll-skip", "nonmonotonic-poll"];

/// Allowed if write-write edges are drawn: Kafka's write order is not isolated.
const WW_DEPS: [&str; 5] =
    ["G1c", "G1c-process", "G1c-realtime", "PL-2-cycle-exists", "strong-PL-2-cycle-exists"];

pub(super) fn rule(promises: &Promises, name: &str) -> Rule {
    let (judgement, rule) = if name == "nonlinearizable" {
        (Judgement::Violation, "Knossos, Jepsen's checker of linearizability, does not allow it.")
    } else if !anomalies::is_reference(name) {
        (Judgement::Unspecified, "Jepsen's tests.kafka does not look for it.")
    } else if ALWAYS.contains(&name) {
        (Judgement::Allowed, "Jepsen's tests.kafka always allows it.")
    } else if promises.subscribes() && SUBSCRIBE.contains(&name) {
        (Judgement::Allowed, "Jepsen's tests.kafka allows it for consumers that subscribe.")
    } else if promises.ww_deps && WW_DEPS.contains(&name) {
        (Judgement::Allowed, "Jepsen's tests.kafka allows it when write-write edges are drawn.")
    } else {
        (Judgement::Violation, "Jepsen's tests.kafka does not allow it.")
    };
    Rule { judgement, rule: rule.into() }
}
