//! Linearizability: decisions against exhaustive checkers, and from rows to decisions.

mod decide;
mod logs;
mod objects;
mod support;
