//! Consistency models of transactions: which anomalies each prohibits, and which implies which.
//!
//! The relations are those that Elle works with; it takes them from Adya (1999), Adya, Liskov and O'Neil (2000), Bailis
//! and others (2014), Cerone, Bernardi and Gotsman (2015), Daudjee and Salem (2004, 2006), and Liu and others (ROLA).

use std::collections::BTreeSet;

/// A model: its name, other names, the models that it implies directly, and the anomalies that it adds to what those
/// prohibit.
struct Model {
    name: &'static str,
    aliases: &'static [&'static str],
    implies: &'static [&'static str],
    prohibits: &'static [&'static str],
}

const fn model(
    name: &'static str,
    aliases: &'static [&'static str],
    implies: &'static [&'static str],
    prohibits: &'static [&'static str],
) -> Model {
    Model { name, aliases, implies, prohibits }
}

const MODELS: &[Model] = &[
    model(
        "read-uncommitted",
        &["PL-1"],
        &[],
        &["G0", "duplicate-elements", "cyclic-versions", "PL-1-cycle-exists", "phantom-read"],
    ),
    model("read-committed", &["PL-2"], &["read-uncommitted"], &["G1", "PL-2-cycle-exists"]),
    model("cursor-stability", &["PL-CS"], &["read-committed"], &["G1", "G-cursor", "lost-update"]),
    model("monotonic-view", &["PL-2L"], &["read-committed"], &["G1", "G-monotonic"]),
    model("monotonic-snapshot-read", &["PL-MSR"], &["read-committed"], &["G1", "G-MSR"]),
    model(
        "consistent-view",
        &["PL-2+"],
        &["cursor-stability", "monotonic-view"],
        &["G1", "G-single"],
    ),
    model("forward-consistent-view", &["PL-FCV"], &["consistent-view"], &["G1", "G-SIb"]),
    model("monotonic-atomic-view", &[], &["read-committed"], &[]),
    model("read-atomic", &[], &["monotonic-atomic-view"], &["internal", "G1a", "future-read"]),
    model("causal-cerone", &[], &["read-atomic"], &["internal", "G1a"]),
    model("ROLA", &[], &["read-atomic"], &["lost-update"]),
    model("prefix", &[], &["causal-cerone"], &["internal", "G1a"]),
    model("parallel-snapshot-isolation", &[], &["causal-cerone", "ROLA"], &["internal", "G1a"]),
    model("update-serializable", &["PL-3U"], &["forward-consistent-view"], &["G1", "G-update"]),
    model(
        "repeatable-read",
        &["PL-2.99"],
        &["cursor-stability", "monotonic-atomic-view"],
        &["G1", "G2-item", "PL-2.99-cycle-exists", "lost-update"],
    ),
    model(
        "snapshot-isolation",
        &["PL-SI"],
        &[
            "forward-consistent-view",
            "monotonic-atomic-view",
            "monotonic-snapshot-read",
            "parallel-snapshot-isolation",
            "prefix",
        ],
        &["internal", "G1", "G-SI", "G-nonadjacent", "PL-SI-cycle-exists"],
    ),
    model(
        "serializable",
        &["PL-3", "conflict-serializable"],
        &["repeatable-read", "update-serializable", "snapshot-isolation", "view-serializable"],
        &["internal", "G1", "G2", "predicate-read-miss", "PL-3-cycle-exists"],
    ),
    model("view-serializable", &[], &[], &[]),
    model(
        "strong-session-read-uncommitted",
        &["strong-session-PL-1"],
        &["read-uncommitted"],
        &["strong-session-PL-1-cycle-exists", "G0-process"],
    ),
    model(
        "strong-session-read-committed",
        &["strong-session-PL-2"],
        &["read-committed", "strong-session-read-uncommitted"],
        &["strong-session-PL-2-cycle-exists", "G1c-process"],
    ),
    model(
        "strong-read-uncommitted",
        &["strong-PL-1"],
        &["strong-session-read-uncommitted"],
        &["strong-PL-1-cycle-exists", "G0-realtime"],
    ),
    model(
        "strong-read-committed",
        &["strong-PL-2"],
        &["strong-session-read-committed", "strong-read-uncommitted"],
        &["strong-PL-2-cycle-exists", "G1c-realtime"],
    ),
    model(
        "strong-session-snapshot-isolation",
        &[],
        &["snapshot-isolation", "strong-session-read-committed"],
        &[
            "internal",
            "G1-process",
            "G-nonadjacent-process",
            "strong-session-snapshot-isolation-cycle-exists",
        ],
    ),
    model(
        "strong-snapshot-isolation",
        &[],
        &["strong-session-snapshot-isolation", "strong-read-committed"],
        &[
            "internal",
            "G1-realtime",
            "G-nonadjacent-realtime",
            "strong-snapshot-isolation-cycle-exists",
        ],
    ),
    model(
        "strong-session-serializable",
        &[],
        &["serializable", "strong-session-snapshot-isolation"],
        &["G1-process", "G2-process", "strong-session-serializable-cycle-exists"],
    ),
    model(
        "strict-serializable",
        &["PL-SS", "strong-serializable"],
        &[
            "serializable",
            "snapshot-isolation",
            "strong-snapshot-isolation",
            "strong-session-serializable",
        ],
        &["G1", "G1c-realtime", "G2-realtime", "PL-SS-cycle-exists"],
    ),
];

/// What an anomaly is also an instance of.
const IMPLIED: &[(&str, &[&str])] = &[
    ("G0", &["G1c", "G0-process"]),
    ("G0-process", &["G1c-process", "G0-realtime"]),
    ("G0-realtime", &["G1c-realtime"]),
    ("G1a", &["G1"]),
    ("G1b", &["G1"]),
    ("G1c", &["G1", "G1c-process"]),
    ("G1c-process", &["G1c-realtime", "G1-process"]),
    ("G1c-realtime", &["G1-realtime"]),
    ("G1", &["G1-process"]),
    ("G1-process", &["G1-realtime"]),
    ("G-single", &["G-nonadjacent", "G-SIb", "G-single-process"]),
    ("G-single-process", &["G-nonadjacent-process", "G-single-realtime"]),
    ("G-single-realtime", &["G-nonadjacent-realtime"]),
    ("G-nonadjacent", &["G2", "G-nonadjacent-process"]),
    ("G-nonadjacent-process", &["G2-process", "G-nonadjacent-realtime"]),
    ("G-nonadjacent-realtime", &["G2-realtime"]),
    ("G2", &["G2-process"]),
    ("G2-item", &["G2", "G2-item-process"]),
    ("G2-item-process", &["G2-process", "G2-item-realtime"]),
    ("G2-item-realtime", &["G2-realtime"]),
    ("G2-process", &["G2-realtime"]),
    ("G-SIa", &["G-SI"]),
    ("G-SIb", &["G-SI"]),
    ("incompatible-order", &["G1a"]),
    ("phantom-read", &["G1a"]),
    ("future-read", &["G1c"]),
    ("dirty-update", &["G1a"]),
    ("lost-update", &["write-skew", "G2-item"]),
    ("write-skew", &["G2"]),
];

/// The models that can be asked for, each by its own name.
pub fn model_names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|m| m.name)
}

/// The model of this name or alias.
fn find(name: &str) -> Option<usize> {
    MODELS.iter().position(|m| m.name == name || m.aliases.contains(&name))
}

/// The own name of a model given by any of its names.
pub fn canonical_model(name: &str) -> Option<&'static str> {
    find(name).map(|m| MODELS[m].name)
}

/// Everything reachable from `first`.
fn closure(first: Vec<usize>, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut seen: BTreeSet<usize> = first.iter().copied().collect();
    let mut open = first;
    while let Some(at) = open.pop() {
        for to in next(at) {
            if seen.insert(to) {
                open.push(to);
            }
        }
    }
    seen
}

fn weaker(model: usize) -> Vec<usize> {
    MODELS[model].implies.iter().filter_map(|m| find(m)).collect()
}

fn stronger(model: usize) -> Vec<usize> {
    (0..MODELS.len()).filter(|m| weaker(*m).contains(&model)).collect()
}

/// The anomalies that must not occur if all these models hold. Names that are no model are passed over.
pub fn prohibited_by<'m>(models: impl IntoIterator<Item = &'m str>) -> BTreeSet<&'static str> {
    let asked: Vec<usize> = models.into_iter().filter_map(find).collect();
    let held = closure(asked, weaker);
    let mut names: BTreeSet<&'static str> =
        held.iter().flat_map(|m| MODELS[*m].prohibits.iter().copied()).collect();
    loop {
        let more: Vec<&'static str> = IMPLIED
            .iter()
            .filter(|(name, implied)| {
                !names.contains(name) && implied.iter().any(|i| names.contains(i))
            })
            .map(|(name, _)| *name)
            .collect();
        if more.is_empty() {
            return names;
        }
        names.extend(more);
    }
}

/// The models that cannot hold when these anomalies occur: the weakest, and all stronger ones.
pub fn excluded_by<'a>(
    anomalies: impl IntoIterator<Item = &'a str>,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut names: BTreeSet<&str> = anomalies.into_iter().collect();
    loop {
        let more: Vec<&str> = IMPLIED
            .iter()
            .filter(|(name, _)| names.contains(name))
            .flat_map(|(_, implied)| implied.iter().copied())
            .filter(|i| !names.contains(i))
            .collect();
        if more.is_empty() {
            break;
        }
        names.extend(more);
    }
    let direct: Vec<usize> = (0..MODELS.len())
        .filter(|m| MODELS[*m].prohibits.iter().any(|p| names.contains(p)))
        .collect();
    let excluded = closure(direct, stronger);
    let is_weakest = |m: &usize| !closure(weaker(*m), weaker).iter().any(|w| excluded.contains(w));
    let name = |m: &usize| MODELS[*m].name;
    let not = excluded.iter().filter(|m| is_weakest(m)).map(name).collect();
    let also = excluded.iter().filter(|m| !is_weakest(m)).map(name).collect();
    (not, also)
}

/// The model that a `…-cycle-exists` anomaly is about.
pub(super) fn model_of_cycle_exists(anomaly: &str) -> Option<&'static str> {
    canonical_model(anomaly.strip_suffix("-cycle-exists")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_implied_model_exists() {
        for model in MODELS {
            for implied in model.implies {
                assert!(find(implied).is_some(), "{} implies {implied}", model.name);
            }
        }
    }

    #[test]
    fn models_prohibit_what_the_literature_says() {
        let prohibits = |model: &str, anomaly: &str| prohibited_by([model]).contains(anomaly);
        assert!(prohibits("read-uncommitted", "G0"));
        assert!(!prohibits("read-uncommitted", "G1a"));
        assert!(prohibits("read-committed", "G1a") && prohibits("read-committed", "dirty-update"));
        assert!(!prohibits("read-committed", "G-single"));
        assert!(prohibits("snapshot-isolation", "G-single"));
        assert!(prohibits("snapshot-isolation", "lost-update"));
        assert!(!prohibits("snapshot-isolation", "G2-item"));
        assert!(prohibits("PL-3", "G2-item") && !prohibits("PL-3", "G-single-realtime"));
        assert!(prohibits("strong-session-serializable", "G-single-process"));
        assert!(prohibits("strict-serializable", "G0-realtime"));
    }

    #[test]
    fn anomalies_exclude_the_weakest_models() {
        assert_eq!(excluded_by(["G1a"]).0, ["read-committed"]);
        assert_eq!(excluded_by(["G2-item"]).0, ["repeatable-read"]);
        assert_eq!(excluded_by(["G-single-realtime"]).0, ["strong-snapshot-isolation"]);
        assert!(excluded_by([]).0.is_empty());
    }
}
