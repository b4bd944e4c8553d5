//! What a seed plans, and that it is done.

use std::path::PathBuf;

use cmpt_core::dropout::Reason;
use dropouts::clip::{Clip, Coding, LENGTH_MS, Material, Network};
use dropouts::delivery::{Arrival, JITTER_MS, deliver};
use dropouts::fault::{Effect, Fault};
use dropouts::lines::truth_of;
use dropouts::picture::PERIOD_MS;
use dropouts::sound::{BLOCK_MS, SoundKind};
use dropouts::suite::arrivals;
use fastrand::Rng;

const NO_REALS: [&[PathBuf]; 2] = [&[], &[]];

fn plans() -> impl Iterator<Item = Clip> {
    (0..400).map(|seed| Clip::plan(seed, NO_REALS))
}

#[test]
fn a_seed_is_one_clip_for_ever() {
    // Published figures name seeds: a change of the generator is a new benchmark, and this says so.
    let plan = Clip::plan(2, NO_REALS);
    assert_eq!(plan, Clip::plan(2, NO_REALS));
    let Material::Sound(kind) = plan.material else { panic!("{plan:?}") };
    let blocks = |plan: &Clip| {
        let mut microphone = plan.microphone(kind, None);
        (0..200).map(|_| microphone.block()).collect::<Vec<_>>()
    };
    assert_eq!(blocks(&plan), blocks(&Clip::plan(2, NO_REALS)));
    let Material::Scene(kind) = Clip::plan(4, NO_REALS).material else { panic!() };
    let pictures = |seed| {
        let mut camera = Clip::plan(seed, NO_REALS).camera(kind, None);
        (0..20).map(|_| camera.picture()).collect::<Vec<_>>()
    };
    assert_eq!(pictures(4), pictures(4));
    assert_ne!(pictures(4), pictures(5));
}

#[test]
fn both_halves_get_every_kind_with_and_without_faults() {
    for half in [0, 1] {
        let mut kinds = std::collections::BTreeMap::<String, [usize; 2]>::new();
        for clip in plans().filter(|clip| clip.seed % 2 == half) {
            kinds.entry(clip.material.name()).or_default()[usize::from(clip.faults.is_empty())] += 1;
        }
        assert_eq!(kinds.len(), 19);
        assert!(kinds.values().all(|counts| counts.iter().all(|count| *count >= 2)), "{kinds:?}");
    }
}

#[test]
fn faults_of_every_reason_are_planned_one_at_a_time_within_the_clip() {
    let mut seen = std::collections::BTreeSet::new();
    for clip in plans() {
        for pair in clip.faults.windows(2) {
            assert!(pair[0].to_ms + 8000 <= pair[1].from_ms, "{clip:?}");
        }
        for fault in &clip.faults {
            assert!((500..=20_000).contains(&(fault.to_ms - fault.from_ms)), "{fault:?}");
            assert!(fault.to_ms < LENGTH_MS && fault.from_ms % 100 == 0 && fault.to_ms % 100 == 0);
            seen.insert(fault.effect.reason());
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Reason::ALL);
}

#[test]
fn pictures_show_the_faults_that_the_truth_tells() {
    let with_fault = |wanted: fn(&Effect) -> bool| {
        plans()
            .filter(|clip| clip.coding == Coding::Lossless && !clip.clock)
            .filter(|clip| clip.material.name() == "traffic" || clip.material.name() == "still")
            .find_map(|clip| {
                let fault = clip.faults.iter().find(|fault| wanted(&fault.effect)).copied();
                Some((clip.clone(), fault?))
            })
            .expect("some seed plans it")
    };
    type Wanted = (fn(&Effect) -> bool, fn(&[u8], &[u8]) -> bool);
    let wanted: [Wanted; 3] = [
        (|effect| matches!(effect, Effect::Held { noise: 0.0 }), |picture, before| picture == before),
        (|effect| matches!(effect, Effect::Covered { .. }), |picture, _| picture.iter().all(|v| *v < 30)),
        (
            |effect| matches!(effect, Effect::Blinded { .. }),
            |picture, _| picture.iter().filter(|v| **v < 250).count() * 100 <= picture.len(),
        ),
    ];
    for (effect, shows) in wanted {
        let (clip, fault) = with_fault(effect);
        let Material::Scene(kind) = clip.material else { panic!("{clip:?}") };
        let mut camera = clip.camera(kind, None);
        let mut before = camera.picture();
        for index in 1..(fault.to_ms / PERIOD_MS + 20) {
            let picture = camera.picture();
            let faulty = fault.touches(index * PERIOD_MS);
            let another = clip.faults.iter().any(|other| *other != fault && other.touches(index * PERIOD_MS));
            assert!(another || shows(&picture, &before) == faulty, "{index} of {clip:?}");
            before = picture;
        }
        let truth = truth_of(&clip);
        assert!(truth.iter().any(|line| line.reason == Some(fault.effect.reason())
            && (line.from_ms, line.to_ms) == (fault.from_ms, fault.to_ms)));
        assert_eq!((truth[0].reason, truth.len()), (None, 1 + clip.faults.len()));
    }
}

#[test]
fn sound_has_the_faults_that_the_truth_tells() {
    for clip in plans().filter(|clip| clip.material == Material::Sound(SoundKind::Street)).take(6) {
        let mut microphone = clip.microphone(SoundKind::Street, None);
        for index in 0..LENGTH_MS / BLOCK_MS {
            let block = microphone.block();
            let fault = clip.faults.iter().find(|fault| fault.touches(index * BLOCK_MS));
            match fault.map(|fault| fault.effect) {
                Some(Effect::Muted { dbfs }) if dbfs.is_infinite() => {
                    assert!(block.iter().all(|v| *v == 0.0))
                }
                Some(Effect::Constant { value }) => assert!(block.iter().all(|v| *v == value)),
                Some(Effect::Overdriven { .. }) => {
                    let clipped = block.iter().filter(|v| v.abs() >= 0.99).count();
                    assert!(clipped * 10 >= block.len(), "{clipped} at {index} of {clip:?}");
                }
                Some(_) => {}
                None => assert!(block.iter().any(|v| *v != block[0] && v.abs() < 0.9), "{index} {clip:?}"),
            }
        }
    }
}

#[test]
fn what_is_stalled_does_not_arrive_and_what_is_late_keeps_its_order() {
    let fault = |from_ms, to_ms, effect| Fault { from_ms, to_ms, effect };
    let faults = [
        fault(20_000, 23_000, Effect::Stalled),
        fault(40_000, 43_000, Effect::Sparse { every: 8 }),
        fault(60_000, 63_000, Effect::Misstamped { shift_ms: -9000 }),
        fault(80_000, 83_000, Effect::Ended),
    ];
    for network in [dropouts::clip::Network::Steady, dropouts::clip::Network::Wireless] {
        let arrivals = deliver([100, 0], 1200, network, &faults, &mut Rng::with_seed(7));
        assert!(arrivals.is_sorted_by_key(|(now, _)| *now), "{network:?}");
        let count = |from: usize, to: usize| {
            let within = |(_, arrival): &&(u64, Arrival)| matches!(arrival, Arrival::Sample { index, .. } if (from..to).contains(index));
            arrivals.iter().filter(within).count()
        };
        assert_eq!((count(200, 230), count(400, 430), count(600, 630), count(800, 830)), (0, 4, 30, 0));
        assert_eq!(count(0, 1200), 1200 - 30 - 26 - 30);
        let misstamped = |(_, arrival): &&(u64, Arrival)| matches!(arrival, Arrival::Sample { index, stamp_ms } if *stamp_ms != 100 * *index as i64);
        assert_eq!(arrivals.iter().filter(misstamped).count(), 30);
        let said = arrivals.iter().filter(|(_, arrival)| matches!(arrival, Arrival::Source(_))).count();
        assert_eq!(said, 1);
    }
}

#[test]
fn the_network_does_not_pause_while_content_fails() {
    let mut faults = 0;
    for clip in plans().filter(|clip| clip.network == Network::Wireless) {
        let arrivals = arrivals(&clip);
        for fault in clip.faults.iter().filter(|fault| !fault.effect.is_of_delivery()) {
            let times = arrivals.iter().map(|(now, _)| *now);
            let times: Vec<u64> =
                times.filter(|now| (fault.from_ms + 300..fault.to_ms).contains(now)).collect();
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= PERIOD_MS + JITTER_MS), "{fault:?}");
            faults += 1;
        }
    }
    assert!(faults > 50, "{faults}");
}

#[test]
fn nobody_can_decide_whether_digital_silence_is_overdriven() {
    let gated = plans().filter(|clip| clip.material == Material::Sound(SoundKind::Gated));
    let overdriven = |fault: &&Fault| matches!(fault.effect, Effect::Overdriven { .. });
    let undecidable = |clip: Clip| {
        clip.faults
            .iter()
            .filter(overdriven)
            .map(|fault| clip.undecidable(fault).is_some())
            .collect::<Vec<_>>()
    };
    let undecidable: Vec<bool> = gated.flat_map(undecidable).collect();
    assert!(!undecidable.is_empty() && undecidable.into_iter().all(|it| it));
}
