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

/// Picks at most `quota` of the `len` things of a class that come one after the other: of each of `quota / 2` equal
/// stretches the first and the greatest, so that outliers stay and the density stays believable. It holds no more than what
/// it picks.
#[derive(Debug)]
pub struct Picker<T> {
    len: usize,
    quota: usize,
    at: usize,
    stretch: usize,
    picked: Vec<T>,
    greatest: Option<(f64, T)>,
}

impl<T> Picker<T> {
    /// For a class of `len` things.
    pub fn new(len: usize, quota: usize) -> Picker<T> {
        Picker { len, quota, at: 0, stretch: 0, picked: Vec::new(), greatest: None }
    }

    /// The next thing, with the weight by which it is compared.
    pub fn offer(&mut self, weight: f64, thing: T) {
        let at = self.at;
        self.at += 1;
        if self.len <= self.quota {
            self.picked.push(thing);
            return;
        }
        if self.quota == 0 {
            return;
        }
        let stretches = self.quota / 2;
        if stretches > 0 && at == self.stretch * self.len / stretches {
            self.stretch += 1;
            self.picked.extend(self.greatest.take().map(|(_, t)| t));
            self.picked.push(thing);
        } else if self.greatest.as_ref().is_none_or(|(w, _)| weight.total_cmp(w).is_ge()) {
            self.greatest = Some((weight, thing));
        }
    }

    /// What was picked, in no order.
    pub fn finish(mut self) -> Vec<T> {
        self.picked.extend(self.greatest.map(|(_, t)| t));
        self.picked
    }
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

    fn pick(weights: &[f64], quota: usize) -> Vec<usize> {
        let mut picker = Picker::new(weights.len(), quota);
        weights.iter().enumerate().for_each(|(at, w)| picker.offer(*w, at));
        let mut picked = picker.finish();
        picked.sort_unstable();
        picked
    }

    #[test]
    fn the_greatest_is_always_picked() {
        let mut weights = vec![1.0; 10_000];
        weights[4321] = 900.0;
        for quota in [1, 2, 3, 10, 999] {
            let picked = pick(&weights, quota);
            assert!(picked.len() <= quota, "{quota}");
            assert!(picked.contains(&4321), "{quota}");
            let firsts = if quota < 2 { 0 } else { quota / 2 };
            let first = |s: usize| s * weights.len() / firsts;
            assert!((0..firsts).all(|s| picked.contains(&first(s))), "{quota}");
        }
        assert!(pick(&weights, 0).is_empty());
        assert_eq!(pick(&[1.0, 2.0], 5), [0, 1]);
    }
}
