//! How much to try.

/// How many damaged inputs to read: as many as `PERJURY_FUZZ_CASES` says, or this many.
pub(crate) fn cases(otherwise: u64) -> u64 {
    let set = std::env::var("PERJURY_FUZZ_CASES").ok();
    set.map_or(otherwise, |n| n.parse().expect("PERJURY_FUZZ_CASES is a number"))
}
