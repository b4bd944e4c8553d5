//! Validation samples out of the training split, where a set has none. Test splits are left alone.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::{Holdout, Listing};
use crate::data::batch::Split;
use crate::data::seed;

impl Holdout {
    /// Makes a part of the training samples of every class the validation split, unless there is one.
    /// A sample counts for its first label.
    pub(super) fn cut(self, listing: &mut Listing) {
        if listing.items.iter().any(|item| item.split == Split::Validation) {
            return;
        }
        let mut classes: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (index, item) in listing.items.iter().enumerate().filter(|(_, item)| item.split == Split::Train) {
            classes.entry(item.labels.first().copied()).or_default().push(index);
        }
        for (class, mut samples) in classes {
            let part = class.map_or(u64::MAX, |class| class as u64);
            Rng::with_seed(seed::mix(&[self.seed, part])).shuffle(&mut samples);
            for index in samples.iter().take(self.count(samples.len())) {
                listing.items[*index].split = Split::Validation;
            }
        }
    }

    /// How many of `count` are held out; never all of them.
    pub(super) fn count(self, count: usize) -> usize {
        ((count as f64 * self.validation).round() as usize).min(count.saturating_sub(1))
    }
}
