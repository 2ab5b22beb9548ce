//! checker.
#![warn(clippy::disallowed_methods)]

pub(crate) mod index;
pub(crate) mod par;
