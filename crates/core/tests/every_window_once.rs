//! Exactly one outcome per window, in order, whatever happens.

mod common;

use cmpt_core::assembler::{Assembler, Event};
use cmpt_core::dropout::SourceEvent;
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;
use common::{AUDIO, VIDEO, at, block, frame, schedule, stream, tone};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in milliseconds; the clock may jump.
    Pass(i64),
    /// A picture stamped off now by so many milliseconds.
    Frame(i64, u8),
    /// So many samples stamped off now by so many milliseconds, loud or silent.
    Block(i64, usize, bool),
    Source(ModalityId, SourceEvent),
    /// The driver gets round to timeouts and events only now.
    Drain,
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -30i64..30, 2 => -3000i64..3000, 1 => Just(i64::MIN / 1_000_000), 1 => Just(i64::MAX / 4_000_000)]
}

fn step() -> impl Strategy<Value = Step> {
    let source = prop_oneof![Just(SourceEvent::Error), Just(SourceEvent::Eos)];
    prop_oneof![
        8 => (0i64..150).prop_map(Step::Pass),
        1 => (0i64..60_000).prop_map(Step::Pass),
        8 => (offset(), prop_oneof![Just(0u8), Just(90), Just(200)]).prop_map(|(o, l)| Step::Frame(o, l)),
        8 => (offset(), 0usize..300, any::<bool>()).prop_map(|(o, n, l)| Step::Block(o, n, l)),
        1 => (prop_oneof![Just(AUDIO), Just(VIDEO)], source).prop_map(|(m, e)| Step::Source(m, e)),
        6 => Just(Step::Drain),
    ]
}

/// A driver that gets round to draining at every `Drain`, or after every step if `diligent`.
struct Driver {
    assembler: Assembler,
    now_ms: i64,
    events: Vec<Event>,
}

impl Driver {
    fn apply(&mut self, step: &Step) {
        let now = at(self.now_ms);
        match step {
            Step::Pass(ms) => self.now_ms += ms,
            Step::Frame(offset, luma) => {
                self.assembler.handle_sample(
                    now,
                    VIDEO,
                    frame(at(self.now_ms.saturating_add(*offset)), *luma),
                );
            }
            Step::Block(offset, count, loud) => {
                let stamp = at(self.now_ms.saturating_add(*offset).max(i64::MIN / 1_000_000));
                let samples = (0..*count as i64).map(|n| if *loud { tone(n) } else { 0.0 }).collect();
                self.assembler.handle_sample(now, AUDIO, block(stamp, samples));
            }
            Step::Source(modality, event) => self.assembler.handle_source(now, *modality, *event),
            Step::Drain => {}
        }
    }

    fn drain(&mut self) {
        let now = at(self.now_ms);
        while let Some(due) = self.assembler.poll_timeout().filter(|due| *due <= now) {
            self.assembler.handle_timeout(due);
            self.events.extend(std::iter::from_fn(|| self.assembler.poll_event()));
        }
        self.events.extend(std::iter::from_fn(|| self.assembler.poll_event()));
    }
}

fn drive(steps: &[Step], length_ms: u64, hop_ms: u64, diligent: bool) -> (Vec<Event>, Timestamp) {
    let assembler = Assembler::new(stream(schedule(length_ms, hop_ms, 200))).expect("the spec is sound");
    let mut driver = Driver { assembler, now_ms: 0, events: vec![] };
    for step in steps {
        driver.apply(step);
        if diligent || matches!(step, Step::Drain) {
            driver.drain();
        }
    }
    driver.drain();
    (driver.events, at(driver.now_ms))
}

fn sizes() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![Just((1000, 1000)), Just((1000, 250)), Just((300, 500)), Just((50, 10))]
}

proptest! {
    #[test]
    fn one_window_per_seq_in_order(
        steps in prop::collection::vec(step(), 1..150),
        (length_ms, hop_ms) in sizes(),
        diligent in any::<bool>(),
    ) {
        let schedule = schedule(length_ms, hop_ms, 200);
        let (events, now) = drive(&steps, length_ms, hop_ms, diligent);
        let windows = events.iter().filter_map(|event| match event {
            Event::Window(window) => Some(window),
            Event::Sensor { .. } => None,
        });
        let mut seq = 0;
        for window in windows {
            prop_assert_eq!(window.seq, seq);
            prop_assert_eq!((window.start, window.end), (schedule.start(seq), schedule.end(seq)));
            prop_assert_eq!(window.inputs.len(), 2);
            seq += 1;
        }
        prop_assert!(seq == 0 || schedule.due(seq - 1) <= now, "none before it is due");
        prop_assert!(schedule.due(seq) > now, "none left over");
    }

    #[test]
    fn the_same_script_gives_the_same_events(steps in prop::collection::vec(step(), 1..100), sizes in sizes()) {
        prop_assert_eq!(drive(&steps, sizes.0, sizes.1, true), drive(&steps, sizes.0, sizes.1, true));
    }

    #[test]
    fn the_order_of_sensors_within_an_instant_does_not_matter(
        steps in prop::collection::vec(step(), 1..100),
        sizes in sizes(),
    ) {
        // Stable: each sensor's own samples and events keep their order.
        let modality = |step: &Step| match step {
            Step::Frame(..) => 1,
            Step::Block(..) => 0,
            Step::Source(modality, _) => modality.0,
            Step::Pass(_) | Step::Drain => usize::MAX,
        };
        let mut sorted = steps.clone();
        for instant in sorted.split_mut(|step| modality(step) == usize::MAX) {
            instant.sort_by_key(modality);
        }
        let windows = |steps: &[Step]| {
            let mut events = drive(steps, sizes.0, sizes.1, false).0;
            events.retain(|event| matches!(event, Event::Window(_)));
            events
        };
        prop_assert_eq!(windows(&steps), windows(&sorted));
    }
}

#[test]
fn a_sample_is_any_sample() {
    // Timestamps at the ends of their range neither panic nor cost memory.
    let mut assembler = Assembler::new(stream(schedule(1000, 250, 200))).unwrap();
    for nanos in [i64::MIN, i64::MIN + 1, -1_000_000_000, i64::MAX - 1, i64::MAX] {
        let stamp = Timestamp::from_nanos(nanos);
        for sample in [frame(stamp, 9), block(stamp, vec![0.5; 10])] {
            let modality = if matches!(sample, Sample::Frame(_)) { VIDEO } else { AUDIO };
            assembler.handle_sample(at(0), modality, sample);
        }
    }
    for modality in [AUDIO, VIDEO] {
        let dropped = assembler.dropped(modality);
        assert_eq!((dropped.late, dropped.bad_timestamps, dropped.malformed), (3, 2, 0));
    }
}
