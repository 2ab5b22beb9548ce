//! Replication of partition logs: roles, high watermarks, in-sync sets, followers' fetches.
//!
//! * [`partition`]: one replica and what clients and followers write to it; [`reading`]: what they
//!   read; [`types`]: what it takes and gives. [`leader`]: what only a leader keeps. [`flush`]: the group commit.
//! * [`manager`]: all replicas of this node, driven by the metadata. [`fetcher`]: the follower's
//!   side of the wire.

pub(crate) mod fetcher;
pub(crate) mod flush;
pub(crate) mod leader;
pub(crate) mod manager;
pub(crate) mod partition;
pub(crate) mod reading;
pub(crate) mod types;
