//! Which points of a large set are drawn: rare kinds whole, common kinds by their extremes.

/// How many of each class may be drawn, given how many there are, so that the sum is at most `total`: small classes are
/// kept whole, large ones share what is left evenly.
pub fn quotas(counts: &[usize], total: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|c| (counts[*c], *c));
    let mut quotas = vec![0; counts.len()];
    let (mut left, mut classes) = (total, counts.len());
    for class in order {
        quotas[class] = counts[class].min(left / classes);
        left -= quotas[class];
        classes -= 1;
    }
    quotas
}

/// Picks at most `quota` positions of a class in the order of time: of each of `quota / 2` equal stretches the first and
/// the greatest, so that outliers stay and the density stays believable.
pub fn pick(weights: &[f64], quota: usize) -> Vec<usize> {
    if weights.len() <= quota {
        return (0..weights.len()).collect();
    }
    if quota < 2 {
        let greatest = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]));
        return greatest.into_iter().take(quota).collect();
    }
    let stretches = quota / 2;
    let mut picked = Vec::with_capacity(quota);
    for s in 0..stretches {
        let range = s * weights.len() / stretches..(s + 1) * weights.len() / stretches;
        let first = range.start;
        picked.push(first);
        let rest = first + 1..range.end;
        picked.extend(rest.max_by(|a, b| weights[*a].total_cmp(&weights[*b])));
    }
    picked.sort_unstable();
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_classes_are_kept_whole() {
        assert_eq!(quotas(&[10, 5, 1_000_000], 100), [10, 5, 85]);
        assert_eq!(quotas(&[1000, 1000], 100), [50, 50]);
        assert_eq!(quotas(&[3, 4], 100), [3, 4]);
        assert_eq!(quotas(&[], 100), Vec::<usize>::new());
        assert_eq!(quotas(&[7], 0), [0]);
    }

    #[test]
    fn the_greatest_is_always_picked() {
        let mut weights = vec![1.0; 10_000];
        weights[4321] = 900.0;
        for quota in [1, 2, 3, 10, 999] {
            let picked = pick(&weights, quota);
            assert!(picked.len() <= quota, "{quota}");
            assert!(picked.contains(&4321), "{quota}");
            assert!(picked.is_sorted());
        }
        assert!(pick(&weights, 0).is_empty());
        assert_eq!(pick(&[1.0, 2.0], 5), [0, 1]);
    }
}
