//! Linearizability: decisions against exhaustive checkers, and from rows to decisions.

mod decide;
mod larger;
mod logs;
mod objects;
mod simulated;
mod support;
