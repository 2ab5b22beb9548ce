//! Three real processes, spoken to over TCP, killed and stopped.
//!
//! Each test has a cluster of its own on loopback addresses of its own, because a killed node must
//! find its port free again, which on 127.0.0.1 any outgoing connection may have taken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a failed test shows the logs of its nodes")]

mod admin;
mod bugs;
mod bugs_coordinators;
mod durability;
mod end_to_end;
mod fencing;
mod formation;
mod idempotence;
mod startup;
mod storm;
mod support;
mod transactions;
