//! Plan files that come along.

/// A plan file that comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPlan {
    /// Its name, which is also the campaign's.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// The file.
    pub toml: &'static str,
}

/// All of them, the shortest first.
pub const NAMED_PLANS: [NamedPlan; 4] = [
    NamedPlan {
        name: "first-look",
        summary: "One short run on the embedded cluster: leaders are killed while clients write and read.",
        toml: r#"name = "first-look"
summary = "One short run on the embedded cluster"

[run]
time_limit = "20s"
rate = 400
nemesis = ["kill"]
nemesis_interval = "2s"
"#,
    },
    NamedPlan {
        name: "bug-hunt",
        summary: "The embedded cluster as it should be beside one that acknowledges before it replicates, three seeds each.",
        toml: r#"name = "bug-hunt"
summary = "A correct cluster beside one with a bug"
seeds = [1, 2, 3]

[run]
time_limit = "20s"
rate = 400
nemesis_interval = "2s"
target = ["leader"]

[matrix]
cluster = [
  { label = "correct" },
  { label = "ack-before-replication", bugs = ["ack-before-replication"] },
]
"#,
    },
    NamedPlan {
        name: "acks",
        summary: "What each acks setting is worth under leader kills: the price of acks=1 in lost records.",
        toml: r#"name = "acks"
summary = "What each acks setting is worth under leader kills"
seeds = { from = 1, count = 3 }

[run]
time_limit = "30s"
rate = 400
target = ["leader", "all"]

[matrix]
client = [
  { acks = "all" },
  { acks = "all", idempotence = false, label = "acks-all-not-idempotent" },
  { acks = "1" },
]
"#,
    },
    NamedPlan {
        name: "faults",
        summary: "Kills and pauses of every role, apart and together, five seeds, twice each: flakes show as differences.",
        toml: r#"name = "faults"
summary = "Kills and pauses of every role"
seeds = { from = 1, count = 5 }
repeats = 2
rerun_interrupted = true

[run]
time_limit = "30s"
rate = 400
target = ["leader", "follower", "all"]

[matrix]
faults = [
  { nemesis = ["kill"] },
  { nemesis = ["pause"] },
  { nemesis = ["kill", "pause"] },
]
"#,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::parse;

    #[test]
    fn every_named_plan_expands_under_its_name() {
        for named in NAMED_PLANS {
            let plan = parse(named.toml).unwrap();
            assert_eq!(plan.name, named.name);
            let runs = plan.expand(&|id| Err(id.to_owned())).unwrap();
            assert!(!runs.is_empty(), "{}", named.name);
        }
    }
}
