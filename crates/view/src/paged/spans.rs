//! Ranges of offsets.

/// How many ranges a block keeps of each key.
const MOST: usize = 32;

/// A few ranges that hold all of these: those that overlap or touch become one, and where more are left than are kept, those
/// that are nearest to each other.
pub(super) fn few(mut all: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    all.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (low, high) in all {
        match merged.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    if merged.len() <= MOST {
        return merged;
    }
    let mut gaps: Vec<(i64, usize)> =
        (1..merged.len()).map(|i| (merged[i].0.saturating_sub(merged[i - 1].1), i)).collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    let mut cuts: Vec<usize> = gaps[..MOST - 1].iter().map(|(_, i)| *i).collect();
    cuts.sort_unstable();
    let begins = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([merged.len()]);
    begins.zip(ends).map(|(from, to)| (merged[from].0, merged[to - 1].1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one_and_the_widest_gaps_stay() {
        assert_eq!(few(vec![]), []);
        assert_eq!(few(vec![(5, 5), (1, 2), (3, 3), (4, 4)]), [(1, 5)]);
        assert_eq!(few(vec![(1, 9), (2, 3), (20, 20)]), [(1, 9), (20, 20)]);
        let far: Vec<(i64, i64)> = (0..100)
            .map(|i| if i < 50 { i * 3 } else { 1_000_000 + i * 3 })
            .map(|o| (o, o))
            .collect();
        let kept = few(far.clone());
        assert_eq!(kept.len(), MOST);
        assert!(far.iter().all(|(o, _)| kept.iter().any(|(low, high)| low <= o && o <= high)));
        assert!(kept.iter().all(|(low, high)| high - low < 1_000_000), "{kept:?}");
    }
}
