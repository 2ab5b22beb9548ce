//! What a caller chooses.

use crate::elle::Workload;
use crate::linear::ModelName;
use crate::rules::Rules;
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

/// What a history is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Partitioned logs: the whole catalogue of Kafka anomalies.
    Kafka,
    /// Transactions over lists or registers, by consistency models.
    Transactions(Workload),
    /// A sequential object, key by key.
    Linearizable(ModelName),
}

impl Model {
    /// The name used in reports and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Model::Kafka => "kafka",
            Model::Transactions(workload) => workload.as_str(),
            Model::Linearizable(name) => name.as_str(),
        }
    }
}

impl std::str::FromStr for Model {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "kafka" => Ok(Model::Kafka),
            other => match other.parse() {
                Ok(workload) => Ok(Model::Transactions(workload)),
                Err(_) => {
                    let names = Workload::ALL.map(Workload::as_str).join(", ");
                    let object = other.parse().map(Model::Linearizable);
                    object.map_err(|e| format!("{e}, {names}, kafka"))
                }
            },
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
    /// The longest time for which a transaction may stay open, `transaction.timeout.ms`. Default for listing: 60,000.
    pub transaction_ms: Option<u64>,
}

/// What a caller chooses. The defaults are right for a native history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What to hold the history against; recognised from its operations when absent.
    pub model: Option<Model>,
    /// The consistency models that transactional histories must satisfy, by any of their names.
    pub consistency_models: Vec<String>,
    /// How many configurations a search for a linearization may visit.
    pub search_steps: u64,
    /// How many bytes a search for a linearization may use.
    pub search_bytes: u64,
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
    /// Which anomalies are looked for.
    pub rules: Rules,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            model: None,
            consistency_models: vec!["strict-serializable".into()],
            search_steps: 200_000_000,
            search_bytes: 2 << 30,
            contract: Contract::Kafka,
            threads: 1,
            examples_max: 32,
            sub_via: Vec::new(),
            ww_deps: false,
            budgets: Budgets::default(),
            rules: Rules::default(),
        }
    }
}
