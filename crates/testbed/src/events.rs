//! The stable log messages of a node, written with `tracing`.
//!
//! | message | level | fields |
//! |---|---|---|
//! | [`NODE_STARTED`] | info | `node`, `pid`, `kafka`, `raft`, `bugs` |
//! | [`BUG_ENABLED`] | warn | `bug`, one line for each switched-on bug |
//! | [`KAFKA_LISTENER_READY`] | info | `addr` |
//! | [`RAFT_LEADER_ELECTED`] | info | `leader`, `term` |
//! | [`CONTROLLER_ACTIVE`] | info | `node`, `term` |
//! | [`CONTROLLER_RESIGNED`] | info | `node` |
//! | [`BROKER_REGISTERED`] | info | `id`, `epoch` |
//! | [`BROKER_FENCED`] | warn | `id` |
//! | [`BROKER_UNFENCED`] | info | `id` |
//! | [`READY`] | info | `brokers`, the number of unfenced brokers |
//! | [`PARTITION_LEADER_CHANGED`] | info | `topic`, `partition`, `leader` (-1: none), `epoch` |
//! | [`ISR_CHANGED`] | info | `topic`, `partition`, `isr` |
//! | [`LOG_RECOVERED`] | info | `topic`, `partition`, `end_offset`, `dropped_bytes` |
//! | [`LOG_TRUNCATED`] | warn | `topic`, `partition`, `from`, `to`, `reason` |
//! | [`COORDINATOR_LOADED`] | info | `topic`, `index`, `epoch`, `offset` |
//! | [`TRANSACTION_TIMED_OUT`] | warn | `id`, the transactional id |
//! | [`LEASE_LOST`], [`LEASE_CONFIRMED`] | warn, info | `node` |
//! | [`SLOW_DISK`] | warn | `what`, `ms`, how long one sync took |
//! | [`STALLED`] | warn | `ms`, how long this process did not run its control loop |
//! | [`NODE_STOPPED`] | info | `node`, `reason` |

/// The process holds its data directory and its ports.
pub const NODE_STARTED: &str = "node started";
/// A bug is switched on.
pub const BUG_ENABLED: &str = "bug enabled";
/// Kafka clients can connect.
pub const KAFKA_LISTENER_READY: &str = "kafka listener ready";
/// This node learned of a Raft leader.
pub const RAFT_LEADER_ELECTED: &str = "raft leader elected";
/// This node became the controller.
pub const CONTROLLER_ACTIVE: &str = "controller active";
/// This node stopped being the controller.
pub const CONTROLLER_RESIGNED: &str = "controller resigned";
/// A new incarnation of a broker is in the metadata.
pub const BROKER_REGISTERED: &str = "broker registered";
/// A broker's lease ran out; it leads nothing and is in no in-sync set that has another member.
pub const BROKER_FENCED: &str = "broker fenced";
/// A broker may lead and join in-sync sets.
pub const BROKER_UNFENCED: &str = "broker unfenced";
/// The number of unfenced brokers as this node sees it, on every change.
pub const READY: &str = "ready";
/// A partition has another leader or leader epoch.
pub const PARTITION_LEADER_CHANGED: &str = "partition leader changed";
/// A partition has another in-sync set.
pub const ISR_CHANGED: &str = "isr changed";
/// A partition log was read and checked at start.
pub const LOG_RECOVERED: &str = "log recovered";
/// A partition log lost its tail: a divergent one, a torn one, or by a switched-on bug.
pub const LOG_TRUNCATED: &str = "log truncated";
/// This node took over the groups or transactions of an internal partition.
pub const COORDINATOR_LOADED: &str = "coordinator loaded";
/// A transaction was open for too long and is aborted.
pub const TRANSACTION_TIMED_OUT: &str = "transaction timed out";
/// The controller does not confirm this broker any more; it serves nothing.
pub const LEASE_LOST: &str = "lease lost";
/// The controller confirms this broker.
pub const LEASE_CONFIRMED: &str = "lease confirmed";
/// The node ends.
pub const NODE_STOPPED: &str = "node stopped";
/// One sync took long enough to endanger leases.
pub const SLOW_DISK: &str = "slow disk";
/// This process was stopped, starved of CPU, or blocked, long enough to endanger its lease.
pub const STALLED: &str = "stalled";
