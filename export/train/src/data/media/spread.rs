//! Places evenly over a sequence.

/// The indices in the middles of `wanted` equal parts of `count` items; all where there are fewer.
pub(super) fn spread(count: usize, wanted: usize) -> Vec<usize> {
    if count <= wanted {
        return (0..count).collect();
    }
    (0..wanted).map(|part| (2 * part + 1) * count / (2 * wanted)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn middles_of_equal_parts_differ(count in 0usize..500, wanted in 1usize..50) {
            let chosen = spread(count, wanted);
            prop_assert_eq!(chosen.len(), count.min(wanted));
            prop_assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(chosen.iter().all(|index| *index < count));
        }
    }

    #[test]
    fn three_of_nine_are_the_middles_of_three_parts() {
        assert_eq!(spread(9, 3), [1, 4, 7]);
    }
}
