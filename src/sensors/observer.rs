//! The state of a watch: the assembler, one survey per sensor, and the seconds between them.

use std::collections::BTreeMap;
use std::time::Duration;

use cmpt_core::assembler::{Assembler, Event, Input};
use cmpt_core::dropout::{Reason, SourceEvent, StateChange};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::survey::SensorSurvey;
use cmpt_core::time::Timestamp;

use super::fragment;
use super::report::{Closing, Report, View};
use crate::config::{Config, StreamPlan};
use crate::failure::Failure;

/// How often a report is made.
const SECOND: Duration = Duration::from_secs(1);

/// Watches the sensors of one stream. Times never go back.
pub(super) struct Observer {
    assembler: Assembler,
    window: Duration,
    sensors: Vec<Sensor>,
    /// End of the present second.
    second: Timestamp,
    now: Timestamp,
    windows: u64,
    report: Box<dyn Report>,
}

struct Sensor {
    name: String,
    survey: SensorSurvey,
    thresholds: cmpt_core::dropout::SensorThresholds,
    /// Windows that went without it.
    without: BTreeMap<Reason, u64>,
}

impl Observer {
    pub(super) fn new(plan: &StreamPlan, report: Box<dyn Report>) -> Self {
        let sensors = plan.spec.sensors.iter().map(|sensor| Sensor {
            name: sensor.name.clone(),
            survey: SensorSurvey::new(sensor.thresholds.clone()),
            thresholds: sensor.thresholds.clone(),
            without: BTreeMap::new(),
        });
        Self {
            sensors: sensors.collect(),
            assembler: Assembler::new(plan.spec.clone()).expect("a plan can be assembled"),
            window: plan.spec.schedule.length,
            second: Timestamp::ZERO + SECOND,
            now: Timestamp::ZERO,
            windows: 0,
            report,
        }
    }

    /// Length of a window.
    pub(super) fn window(&self) -> Duration {
        self.window
    }

    /// When [`advance`](Self::advance) is next needed.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.assembler.poll_timeout().map_or(self.second, |at| at.min(self.second))
    }

    /// A sample arrived.
    pub(super) fn handle_sample(
        &mut self,
        now: Timestamp,
        modality: ModalityId,
        sample: Sample,
    ) -> Result<(), Failure> {
        self.advance(now)?;
        let statistics = self.assembler.handle_sample(now, modality, sample);
        // What changed through it comes first: a survey is to know of a loss before what ends it.
        self.poll()?;
        let survey = &mut self.sensors[modality.0].survey;
        match statistics {
            Some(statistics) => survey.handle_sample(now, &statistics),
            None => survey.handle_dropped(),
        }
        Ok(())
    }

    /// A source reported something.
    pub(super) fn handle_source(
        &mut self,
        now: Timestamp,
        modality: ModalityId,
        event: SourceEvent,
    ) -> Result<(), Failure> {
        self.advance(now)?;
        self.assembler.handle_source(now, modality, event);
        self.poll()
    }

    /// Lets time pass up to, but not including, `now`.
    pub(super) fn advance(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.now = self.now.max(now);
        loop {
            let next = self.poll_timeout();
            if next >= now {
                return Ok(());
            }
            if next < self.second {
                self.assembler.handle_timeout(next);
                self.poll()?;
            } else {
                self.tell()?;
            }
        }
    }

    /// Lets time pass up to `end`, which is the end of a second that is told if it is a whole one.
    pub(super) fn close(&mut self, end: Timestamp) -> Result<(), Failure> {
        self.advance(end)?;
        if self.second == end { self.tell() } else { Ok(()) }
    }

    /// Tells what follows from all of it.
    pub(super) fn propose(mut self, config: &Config, stream: &str) -> Result<(), Failure> {
        let settings = config.streams.iter().find(|settings| settings.id == stream);
        let line = |name: &str| settings?.sensors.get(name).map(|sensor| sensor.line());
        let sensors = self.sensors.iter().map(|sensor| {
            let line = line(&sensor.name);
            (sensor.name.as_str(), line, sensor.survey.proposal())
        });
        let sensors: Vec<_> = sensors.collect();
        let without = self.sensors.iter().map(|sensor| (sensor.name.as_str(), &sensor.without));
        let closing = Closing {
            at: self.now,
            toml: fragment::render(stream, &sensors),
            sensors: &sensors,
            windows: self.windows,
            without: without.collect(),
        };
        Ok(self.report.close(&closing)?)
    }

    fn tell(&mut self) -> Result<(), Failure> {
        let views: Vec<View<'_>> = self
            .sensors
            .iter_mut()
            .map(|sensor| View {
                name: &sensor.name,
                thresholds: &sensor.thresholds,
                second: sensor.survey.take_second(),
            })
            .collect();
        self.report.second(self.second, &views)?;
        self.second = self.second + SECOND;
        Ok(())
    }

    fn poll(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.assembler.poll_event() {
            match event {
                Event::Sensor { modality, state, at } => {
                    let sensor = &mut self.sensors[modality.0];
                    sensor.survey.handle_state(StateChange { at, state });
                    self.report.change(at, &sensor.name, state)?;
                }
                Event::Window(window) => {
                    self.windows += 1;
                    for (sensor, input) in self.sensors.iter_mut().zip(window.inputs) {
                        if let Input::Missing { reason, .. } = input {
                            *sensor.without.entry(reason).or_default() += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
