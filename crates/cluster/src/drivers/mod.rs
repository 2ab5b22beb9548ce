//! One folder for each kind of cluster, and what those of local processes have in common.

mod ports;
mod recipe;

pub mod attach;
pub mod chronik;
pub mod command;
pub mod kafka;
pub mod tansu;
pub mod testbed;

pub use recipe::{LocalDriver, Place, PreparedNode, Recipe};
