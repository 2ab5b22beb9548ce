//! Drivers that start, watch, break and stop clusters as processes.
//!
//! A cluster is a set of operating-system processes that speak the Kafka protocol. Whatever they
//! are, they are started, watched, killed and paused by the same code: a [`Driver`] knows how one
//! kind of cluster is configured, [`LocalProcesses`] does with its processes what all kinds have in
//! common, and a [`Cluster`] supervises one driver.
//!
//! ```text
//!  Cluster  form, inject, elections, shutdown
//!     │  ├── formation   readiness step by step, or who failed at what and why (diagnosis)
//!     │  └── observer    metadata of every node → ClusterView → ClusterEvents
//!  Driver   drivers::{testbed, kafka, chronik, tansu, command, attach}
//!     │
//!  LocalProcesses  start, stop, kill, pause, resume, restart → FaultWitness
//!     ├── process, logs  one child in its own process group, its output, its end
//!     ├── guard          a process that kills the others when this one is killed
//!     └── undo           a journal of what has to be taken back after a crash
//!  procfs, signal, probe   what the kernel says, what is sent to it, what brokers say
//! ```
//!
//! Invariants:
//! - A process is known by pid and start time, and never ended by its name.
//! - A fault is believed only on a sight that is independent of its injection ([`FaultWitness`]).
//! - What is seen is stamped by one monotonic clock whose origin the caller gives ([`Clock`]).
//! - There is no randomness in here: choices come in as numbers.
//! - Every wait has a bound.

mod clock;
mod cluster;
mod cluster_faults;
mod deed;
mod diagnosis;
mod driver;
mod events;
mod fault;
mod formation;
mod local;
mod logs;
mod node;
mod observer;
mod placed;
mod placement;
mod process;
mod signal;
mod sync;
mod tool;
mod view;
mod witness;

pub mod compare;
pub mod doctor;
pub mod drivers;
pub mod guard;
pub mod net;
pub mod planes;
pub mod privileges;
pub mod probe;
pub mod procfs;
pub mod proxy;
pub mod targets;
pub mod undo;

pub use clock::Clock;
pub use cluster::{Cluster, ClusterOptions, TopicError};
pub use diagnosis::{LikelyCause, PortEvidence, Symptoms, explain_exit};
pub use driver::{Driver, DriverError, NodeStatus, RunState};
pub use events::{ClusterEvent, ClusterEventKind, Election, EventBus};
pub use fault::{FaultKind, FaultSettings, FaultSpec, Plane, Sight};
pub use formation::{Formation, FormationError, FormationStep, NodeProgress};
pub use guard::GuardCommand;
pub use local::{LocalProcesses, RunContext};
pub use logs::{
    LogCapture, LogLevel, LogRing, LogStream, MilestoneReader, log_level, prefixed, without_colour,
};
pub use node::NodeId;
pub use placement::{DISK_MIB, Placement};
pub use probe::{ClusterMetadata, KafkaProbe, MetadataProbe};
pub use process::{ManagedProcess, ProcessSpec, SpawnError};
pub use procfs::{ExitInfo, ProcessIdentity};
pub use signal::{Delivery, ProcessSignal, SignalError, send};
pub use targets::{Target, TargetError};
pub use tool::ToolError;
pub use view::ClusterView;
pub use witness::{FaultWitness, PeerView, PortObservation, PortState, connect_state};
