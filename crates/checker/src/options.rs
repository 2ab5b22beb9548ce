//! What a caller chooses.

use perjury_history::SubVia;

/// Which promises a history is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Contract {
    /// What Apache Kafka documents for the configuration in the history's header.
    #[default]
    Kafka,
    /// The set that Jepsen's `tests.kafka` allows, so that verdicts compare.
    Jepsen,
}

impl Contract {
    /// The name used in reports and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Contract::Kafka => "kafka",
            Contract::Jepsen => "jepsen",
        }
    }
}

impl std::str::FromStr for Contract {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "kafka" => Ok(Contract::Kafka),
            "jepsen" => Ok(Contract::Jepsen),
            other => Err(format!("a contract is kafka or jepsen, not {other:?}")),
        }
    }
}

/// Budgets of availability, in milliseconds. Where one is declared, exceeding it is a violation; where none is, the
/// default threshold only decides what is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// The longest time without an ok send. Default for listing: 30,000.
    pub gap_ms: Option<u64>,
    /// The longest election. Default for listing: 10,000.
    pub election_ms: Option<u64>,
    /// The longest time from the last heal to the first ok send after it. Default for listing: 30,000.
    pub recovery_ms: Option<u64>,
    /// The longest time for which an operation may stay open. Default for listing: 60,000.
    pub stuck_ms: Option<u64>,
}

/// What a caller chooses. The defaults are right for a native history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which promises to judge by.
    pub contract: Contract,
    /// How many threads may work. The report does not depend on it.
    pub threads: usize,
    /// How many examples to list for each anomaly.
    pub examples_max: usize,
    /// How consumers came by their partitions, if the history does not say. Under the Jepsen contract `subscribe`
    /// allows `poll-skip` and `nonmonotonic-poll`.
    pub sub_via: Vec<SubVia>,
    /// Whether write-write edges are drawn in the dependency graph; under the Jepsen contract this allows G1c.
    pub ww_deps: bool,
    /// The budgets of availability. The plan in the history's header may declare them as well.
    pub budgets: Budgets,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            contract: Contract::Kafka,
            threads: 1,
            examples_max: 32,
            sub_via: Vec::new(),
            ww_deps: false,
            budgets: Budgets::default(),
        }
    }
}
