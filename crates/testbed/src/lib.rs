//! A small Kafka-compatible broker that exists to be broken on purpose.
//!
//! One node is one operating-system process ([`run_node`]); three of them make a cluster. Clients
//! speak the Kafka wire protocol to it over TCP, librdkafka 2.12 included.
//!
//! # How it is built
//!
//! * Control plane: one Raft group (`openraft`) over a TCP port of its own. Its
//!   state machine is the cluster metadata: brokers with their fencing state, topics, partitions
//!   with replicas, leader, leader epoch and in-sync set, configuration, blocks of producer ids. The
//!   Raft leader is the *controller*: it fences brokers whose lease ran out and thereby elects
//!   partition leaders. Followers learn metadata by applying the Raft log.
//! * Data plane: partition logs are *not* in Raft. They are replicated leader to follower as Kafka
//!   does it: leader epochs, truncation by `OffsetForLeaderEpoch` (KIP-101), in-sync set, high
//!   watermark. Each bug is therefore one switch at one place instead of a fight against Raft.
//!
//! * Coordinators: consumer groups (classic protocol) and transactional ids belong to partitions of the
//!   internal topics `__consumer_offsets` and `__transaction_state`, which are replicated like any
//!   other; who leads the partition coordinates, after replaying it. Transaction markers go from the
//!   coordinator to the leaders of the data; open and aborted transactions, the last stable offset and
//!   the sequence numbers of producers are derived from each log, so every replica has them.
//!
//! # Where it is stricter than Apache Kafka
//!
//! Clients that speak EndTxn below version 5 keep their epoch from one transaction to the next, so a
//! delayed request could end or extend a later transaction (KAFKA-17754). Here a coordinator refuses
//! requests on a connection that is older than one on which the same producer spoke since; markers
//! carry the ordinal of their transaction; and a leader asks the coordinator before it appends the
//! first batch of a transaction (KIP-890).
//!
//! # The fsync boundary
//!
//! A follower reports an offset to its leader only after `fdatasync` covered it, and the leader
//! counts itself by its own synced offset. The high watermark is the smallest of these over the
//! in-sync set, and `acks=all` is answered only below it. An acknowledged record is therefore on the
//! disk of every in-sync replica. Because of this a restarted broker keeps its place in the in-sync
//! set until its lease runs out, which Apache Kafka, without the fsync, could not allow.
//!
//! # Leases
//!
//! Every broker sends a heartbeat to every node. The controller's answer renews the broker's lease,
//! counted from the moment at which the broker *sent* the heartbeat, while the controller counts
//! from the moment of receipt, so that the broker always stops first. A broker without a lease
//! answers `NOT_LEADER_OR_FOLLOWER`: a process that was stopped and continued serves nothing before
//! the controller confirmed it again. Safety of acknowledged data does not rest on the lease, it
//! rests on leader epochs and the in-sync set.
//!
//! # Log lines
//!
//! The messages in [`events`] are stable; a driver may match them. [`DEFAULT_LOG_FILTER`] shows them
//! all and of openraft only trouble.

mod broker;
mod bugs;
mod config;
mod control;
mod coordinator;
mod error;
pub mod events;
mod log;
mod node;
mod replica;
mod wire;

pub use bugs::{Bug, Needs, UnknownBug};
pub use config::{HostPort, NodeConfig, Peer, Timings};
pub use error::{ConfigError, NodeError};
pub use node::run_node;

/// The `tracing` filter under which a node says what matters and little else.
pub const DEFAULT_LOG_FILTER: &str = "info,openraft=error";
