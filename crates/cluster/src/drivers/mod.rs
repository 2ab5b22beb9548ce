//! One folder for each kind of cluster.

pub mod testbed;
