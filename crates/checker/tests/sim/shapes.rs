//! Options of every kind that follow from a seed.

use perjury_history::SubVia;
use perjury_sim::{KeyNames, Mix, Options};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Options that follow from a seed: Jepsen's shape and our own, alone and with many clients, with and without
/// transactions, groups, faults, crashes, unknown outcomes and final reads.
pub(crate) fn varied(seed: u64) -> Options {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xc4ec);
    let transactional = rng.random_bool(0.5);
    let rates = [0.0, 0.02, 0.1, 0.3];
    let crowded = rng.random_bool(0.1);
    Options {
        operations: if rng.random_bool(0.9) {
            rng.random_range(20..150)
        } else {
            rng.random_range(150..500)
        },
        processes: if crowded { rng.random_range(8..40) } else { rng.random_range(1..8) },
        keys: rng.random_range(1..6),
        writes_per_key: if rng.random_bool(0.3) { rng.random_range(1..40) } else { 0 },
        key_names: if rng.random_bool(0.5) {
            KeyNames::Integers
        } else {
            KeyNames::Partitions { topic: "orders".into() }
        },
        mix: Mix { send: 1.0, poll: 1.0, txn: if transactional { 0.7 } else { 0.0 } },
        mops_max: if transactional { rng.random_range(1..5) } else { 1 },
        records_per_poll: rng.random_range(1..30),
        final_readers: rng.random_range(1..4),
        final_records_per_poll: rng.random_range(1..120),
        info_rate: rates[rng.random_range(0..rates.len())],
        fail_rate: rates[rng.random_range(0..rates.len())],
        lost_rate: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.0..0.05) },
        transactional,
        sub_via: if rng.random_bool(0.3) { SubVia::Subscribe } else { SubVia::Assign },
        resubscribe_rate: if rng.random_bool(0.2) { 0.1 } else { 1.0 / 64.0 },
        faults: rng.random_range(0..4),
        native: rng.random_bool(0.7),
        record_details: rng.random_bool(0.2),
        rate: [1000.0, 5000.0, 100_000.0][rng.random_range(0..3)],
        ..Options::seeded(seed)
    }
}
