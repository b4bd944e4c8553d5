//! A small fixed piece of the benchmark, judged by the detector as it is: what it found, it goes on to find.

use std::path::Path;

use dropouts::clip::{Clip, Coding};
use dropouts::lines::truth_of;
use dropouts::score::score;
use dropouts::suite::{Reals, judge};

/// One clip of each kind, with faults and without, of the tuning half, none of which needs a coder.
#[test]
fn a_piece_of_the_suite_holds_recall_and_precision() {
    let clips = (0..80).step_by(2).map(|seed| Clip::plan(seed, [&[], &[]]));
    let (mut truth, mut alarms) = (Vec::new(), Vec::new());
    for clip in clips.filter(|clip| clip.coding == Coding::Lossless) {
        let answers = judge(&clip, &Reals::default(), Path::new("unused"), false).unwrap();
        truth.extend(truth_of(&clip));
        alarms.extend(answers.ours);
    }
    let total = score(&truth, &alarms).decidable;
    assert!(total.faults > 50 && total.negative_ms > 500_000, "{total:?}");
    assert!(total.recall() >= 0.97 && total.precision() >= 0.95, "{total:?}");
}
