//! The control plane: cluster metadata in a Raft group, leases, and the controller's duties.
//!
//! * [`image`]: the metadata, and how a command changes it; pure and deterministic.
//! * [`raft`], [`journal`], [`machine`], [`network`]: what openraft needs.
//! * [`rpc`], [`server`]: the Raft port.
//! * [`heartbeat`]: a broker's lease. [`controller`]: what the Raft leader does. [`elections`]: when a
//!   node may stand to become it.
//! * [`plane`]: the handle that the rest of the node holds.

pub(crate) mod commands;
pub(crate) mod controller;
pub(crate) mod elections;
pub(crate) mod heartbeat;
pub(crate) mod image;
pub(crate) mod journal;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod plane;
pub(crate) mod raft;
pub(crate) mod rpc;
pub(crate) mod server;
