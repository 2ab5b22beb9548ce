//! Commands that show the damage on the cluster itself.

use super::ranked;
use crate::report::{Example, Report};
use perjury_history::IsolationLevel;
use std::collections::BTreeSet;

/// The most offsets of one example that get a line.
const OFFSETS_MAX: usize = 2;

/// Lines for `kcat` (formerly kafkacat) that read the records in question, at most `max` of them; `$B` stands for the
/// bootstrap servers. Cases without topic-partition or offset give none.
///
/// The consumer is told the run's isolation level, for what it was promised is what counts.
pub fn kcat(report: &Report, max: usize) -> Vec<String> {
    let isolation = report.contract.config.isolation_level;
    let isolation = isolation.map_or("read_committed", IsolationLevel::as_str);
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    // One case of each anomaly first, so that the first lines show every kind of damage.
    let found = ranked(report);
    let deepest = found.iter().map(|(_, a)| a.examples.len()).max().unwrap_or(0);
    for nth in 0..deepest {
        for example in found.iter().filter_map(|(_, a)| a.examples.get(nth)) {
            for (topic, partition, offset) in places(example) {
                if lines.len() < max && seen.insert((topic, partition, offset)) {
                    lines.push(format!(
                        "kcat -b $B -C -t {} -p {partition} -o {offset} -c 1 -e -X isolation.level={isolation} -f '%p %o %k %s\\n'",
                        quoted(topic)
                    ));
                }
            }
        }
    }
    lines
}

/// The topic, partition and offsets of an example.
fn places(example: &Example) -> Vec<(&str, &str, i64)> {
    let Some((topic, partition)) = example.key.as_deref().and_then(|k| k.rsplit_once('-')) else {
        return Vec::new();
    };
    if topic.is_empty() || partition.is_empty() || !partition.bytes().all(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    let more = example.more.get("offsets").and_then(|o| o.as_array());
    let more = more.into_iter().flatten().filter_map(serde_json::Value::as_i64);
    let offsets: BTreeSet<i64> =
        example.offset.into_iter().chain(more).filter(|o| *o >= 0).collect();
    offsets.into_iter().take(OFFSETS_MAX).map(|offset| (topic, partition, offset)).collect()
}

/// The word as a shell takes it literally.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if word.bytes().all(plain) {
        return word.to_owned();
    }
    let word: String = word.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn topics_are_no_shell_code() {
        assert_eq!(quoted("orders.v1"), "orders.v1");
        assert_eq!(quoted("a; rm -rf 'x'"), "'a; rm -rf '\\''x'\\'''");
    }
}
