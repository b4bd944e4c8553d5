//! The script of faults: `camera pulled 20..40`, one a line or separated by commas.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A sensor of the rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensor {
    /// Pictures, `/camera`.
    Camera,
    /// Sound, `/microphone`.
    Microphone,
}

/// What is wrong with a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its server does not listen, and has dropped its clients.
    Pulled,
    /// The camera shows the last picture for ever.
    Frozen,
    /// The camera shows black.
    Black,
    /// The microphone sends digital silence.
    Silent,
}

/// A fault and when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptedFault {
    /// Whose.
    pub sensor: Sensor,
    /// What.
    pub fault: Fault,
    /// First second of it.
    pub from: u64,
    /// First second after it.
    pub to: u64,
}

/// All faults of a clip. A sensor has at most one at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(Vec<ScriptedFault>);

/// A line of the script is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse fault `{entry}`: {reason}")]
pub struct ScriptError {
    entry: String,
    reason: &'static str,
}

impl Sensor {
    /// The modality that it provides.
    pub fn modality(self) -> &'static str {
        match self {
            Self::Camera => "video",
            Self::Microphone => "audio",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pulled => "pulled",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Silent => "silent",
        })
    }
}

impl Script {
    /// The fault of `sensor` in `second`.
    pub fn fault(&self, sensor: Sensor, second: u64) -> Option<Fault> {
        let mut faults = self.0.iter().filter(|fault| fault.sensor == sensor);
        faults.find(|fault| (fault.from..fault.to).contains(&second)).map(|fault| fault.fault)
    }

    /// The faults of `second`, by modality.
    pub fn faults(&self, second: u64) -> BTreeMap<String, Fault> {
        let sensors = [Sensor::Camera, Sensor::Microphone].into_iter();
        sensors.filter_map(|sensor| Some((sensor.modality().into(), self.fault(sensor, second)?))).collect()
    }
}

impl std::str::FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut faults: Vec<ScriptedFault> = Vec::new();
        for line in text.lines() {
            let line = line.split_once('#').map_or(line, |(script, _)| script);
            for entry in line.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let error = |reason| ScriptError { entry: entry.into(), reason };
                let fault = parse(entry).map_err(error)?;
                let overlaps = |other: &&ScriptedFault| {
                    other.sensor == fault.sensor && other.from < fault.to && fault.from < other.to
                };
                if faults.iter().find(overlaps).is_some() {
                    return Err(error("it overlaps another fault of the same sensor"));
                }
                faults.push(fault);
            }
        }
        Ok(Self(faults))
    }
}

fn parse(entry: &str) -> Result<ScriptedFault, &'static str> {
    let words: Vec<_> = entry.split_whitespace().collect();
    let [sensor, fault, interval] = words[..] else {
        return Err("expected SENSOR FAULT FROM..TO, such as camera pulled 20..40");
    };
    let (sensor, fault) = match (sensor, fault) {
        ("camera", "pulled") => (Sensor::Camera, Fault::Pulled),
        ("camera", "frozen") => (Sensor::Camera, Fault::Frozen),
        ("camera", "black") => (Sensor::Camera, Fault::Black),
        ("microphone", "pulled") => (Sensor::Microphone, Fault::Pulled),
        ("microphone", "silent") => (Sensor::Microphone, Fault::Silent),
        ("camera", _) => return Err("a camera can be pulled, frozen or black"),
        ("microphone", _) => return Err("a microphone can be pulled or silent"),
        _ => return Err("the sensors are camera and microphone"),
    };
    let interval =
        interval.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match interval {
        Some((from, to)) if from < to => Ok(ScriptedFault { sensor, fault, from, to }),
        _ => Err("expected FROM..TO in whole seconds, FROM before TO"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_tells_the_faults_of_each_second() {
        let script: Script =
            "camera pulled 2..4 # away\nmicrophone silent 3..5, camera frozen 4..5\n\n".parse().unwrap();
        let faults = |second| {
            let faults = script.faults(second).into_iter();
            faults.map(|(modality, fault)| format!("{modality} {fault}")).collect::<Vec<_>>().join(", ")
        };
        let all: Vec<_> = (1..6).map(faults).collect();
        assert_eq!(all, ["", "video pulled", "audio silent, video pulled", "audio silent, video frozen", ""]);
    }

    #[test]
    fn what_is_wrong_with_a_script_is_said() {
        for (script, message) in [
            ("camera pulled", "expected SENSOR FAULT FROM..TO, such as camera pulled 20..40"),
            ("lidar pulled 1..2", "the sensors are camera and microphone"),
            ("camera silent 1..2", "a camera can be pulled, frozen or black"),
            ("microphone frozen 1..2", "a microphone can be pulled or silent"),
            ("camera pulled 2..2", "expected FROM..TO in whole seconds, FROM before TO"),
            ("camera pulled 1.5..2", "expected FROM..TO in whole seconds, FROM before TO"),
        ] {
            let error = script.parse::<Script>().unwrap_err().to_string();
            assert_eq!(error, format!("parse fault `{script}`: {message}"));
        }
        let error = "camera pulled 1..3, camera black 2..4".parse::<Script>().unwrap_err().to_string();
        assert_eq!(error, "parse fault `camera black 2..4`: it overlaps another fault of the same sensor");
    }
}
