//! Integration tests with real processes, in one program so that they are linked once.
//!
//! Marked as test code as a whole, so that the lints know its helper functions for what they are.

#[cfg(test)]
mod chronik;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod formation;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod planes;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod support;
