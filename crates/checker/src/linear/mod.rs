//! Linearizability.
pub mod budget;
pub mod op;
pub mod outcome;
pub mod log;
pub mod register;
pub mod queue;
pub mod search;
pub mod models;
