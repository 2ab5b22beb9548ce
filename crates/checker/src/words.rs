//! Numbers and lists in words.

/// Nanoseconds as people say them: `0.4 s`, `12 ms`, `3 min 20 s`.
pub(crate) fn duration(ns: i64) -> String {
    let ns = ns.unsigned_abs();
    let ms = ns / 1_000_000;
    match ms {
        0 => format!("{} µs", ns / 1_000),
        1..100 => format!("{ms} ms"),
        100..60_000 => {
            let tenths = (ms + 50) / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        _ => {
            let s = (ms + 500) / 1_000;
            format!("{} min {} s", s / 60, s % 60)
        }
    }
}

/// A count with separators: `24,113`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 record`, `3 records`.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `none was`, `1 was`, `3 were`.
pub(crate) fn counted_or_none(n: u64, one: &str, many: &str) -> String {
    if n == 0 { format!("none {one}") } else { counted(n, one, many) }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<T: std::fmt::Display>(items: &[T]) -> String {
    match items {
        [] => "nothing".into(),
        [one] => one.to_string(),
        [init @ .., last] => {
            let init: Vec<String> = init.iter().map(ToString::to_string).collect();
            format!("{} and {last}", init.join(", "))
        }
    }
}

/// The same, with at most `max` items named.
pub(crate) fn list_some<T: std::fmt::Display>(items: &[T], max: usize) -> String {
    if items.len() <= max {
        return list(items);
    }
    let named: Vec<String> = items[..max].iter().map(ToString::to_string).collect();
    format!("{} and {} more", named.join(", "), count((items.len() - max) as u64))
}

/// Offsets as ranges: `118–120, 131`. At most `max` ranges are named.
pub(crate) fn ranges(sorted: &[i64], max: usize) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for n in sorted {
        match runs.last_mut() {
            Some((_, end)) if *n <= end.saturating_add(1) => *end = (*end).max(*n),
            _ => runs.push((*n, *n)),
        }
    }
    let named = runs.iter().take(max).map(|(first, end)| {
        if first == end { first.to_string() } else { format!("{first}–{end}") }
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if runs.len() > max {
        text.push_str(", …");
    }
    text
}

/// `offset 118` or `offsets 118–120`.
pub(crate) fn offsets(sorted: &[i64], max: usize) -> String {
    let word = if sorted.len() == 1 { "offset" } else { "offsets" };
    format!("{word} {}", ranges(sorted, max))
}

/// The text with a capital first letter.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(24_113), "24,113");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "record", "records"), "1 record");
        assert_eq!(counted_or_none(0, "was", "were"), "none was");
        assert_eq!(counted_or_none(2, "was", "were"), "2 were");
        assert_eq!(duration(400_000_000), "0.4 s");
        assert_eq!(duration(12_000_000), "12 ms");
        assert_eq!(duration(200_000_000_000), "3 min 20 s");
        assert_eq!(duration(1_500), "1 µs");
    }

    #[test]
    fn runs_of_offsets_become_ranges() {
        assert_eq!(ranges(&[118, 119, 120, 131], 8), "118–120, 131");
        assert_eq!(ranges(&[1, 3, 5], 2), "1, 3, …");
        assert_eq!(offsets(&[7], 3), "offset 7");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list_some(&[1, 2, 3], 2), "1, 2 and 1 more");
    }
}
