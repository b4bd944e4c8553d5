//! Evenly spaced items of a sequence whose length is known only at its end.

use super::spread::spread;

/// Keeps every so many items, more seldom as the sequence grows: never more than twice `wanted`.
#[derive(Debug)]
pub(super) struct Thinning<T> {
    wanted: usize,
    stride: usize,
    seen: usize,
    kept: Vec<T>,
}

impl<T> Thinning<T> {
    /// For `wanted` items, at least one.
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted: wanted.max(1), stride: 1, seen: 0, kept: Vec::new() }
    }

    /// The next item of the sequence; `make` is called where it is of use.
    pub(super) fn offer<E>(&mut self, make: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        let wanted = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !wanted {
            return Ok(());
        }
        self.kept.push(make()?);
        if self.kept.len() > 2 * self.wanted {
            self.stride *= 2;
            let mut even = false;
            self.kept.retain(|_| {
                even = !even;
                even
            });
        }
        Ok(())
    }

    /// At most `wanted` items, evenly over the whole sequence.
    pub(super) fn finish(self) -> Vec<T> {
        let chosen = spread(self.kept.len(), self.wanted);
        let mut kept: Vec<Option<T>> = self.kept.into_iter().map(Some).collect();
        chosen.into_iter().map(|index| kept[index].take().expect("no index comes twice")).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thinned(count: usize, wanted: usize) -> Vec<usize> {
        let mut thinning = Thinning::new(wanted);
        for index in 0..count {
            thinning.offer(|| Ok::<_, ()>(index)).unwrap();
            assert!(thinning.kept.len() <= 2 * wanted);
        }
        thinning.finish()
    }

    proptest! {
        #[test]
        fn what_is_left_is_spread_evenly(count in 0usize..2000, wanted in 1usize..20) {
            let left = thinned(count, wanted);
            prop_assert_eq!(left.len(), count.min(wanted));
            prop_assert!(left.windows(2).all(|pair| pair[0] < pair[1]));
            // Each lies within its own part of the sequence, give or take one stride of what was kept.
            for (part, index) in left.iter().enumerate() {
                let middle = (2 * part + 1) as f64 * count as f64 / (2 * left.len()) as f64;
                let part = count as f64 / left.len() as f64;
                prop_assert!((*index as f64 - middle).abs() <= 1.5 * part + 1.0, "{} of {:?}", index, left);
            }
        }
    }

    #[test]
    fn a_sequence_as_long_as_what_may_be_kept_is_cut_into_equal_parts() {
        assert_eq!(thinned(6, 3), [1, 3, 5]);
    }
}
