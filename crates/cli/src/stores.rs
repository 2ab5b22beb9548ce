//! Stores that the command line names: what to change when one cannot be used.

use crate::exit::usage;
use anyhow::Result;
use perjury_store::Store;
use std::path::Path;

/// The store for something that writes into it; its folder is made if need be.
///
/// # Errors
/// When the folder can neither be used nor made.
pub(crate) fn made(path: &Path) -> Result<Store> {
    Store::open(path)
        .map_err(|e| usage(format!("{e}; give --store a folder that you may write to")))
}

/// The store for something that reads what is there: a folder that was never made is a mistake, and none is made.
///
/// # Errors
/// When there is no such folder, or it cannot be used.
pub(crate) fn there(path: &Path) -> Result<Store> {
    if path.is_dir() {
        return made(path);
    }
    let shown = path.display();
    Err(usage(format!(
        "there is no store {shown}: name the folder that holds the runs with --store; `perjury run --store {shown}` makes it"
    )))
}
