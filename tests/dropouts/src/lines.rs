//! The JSON lines of truth and answers: what any detector can be judged by.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use cmpt_core::dropout::Reason;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clip::{Clip, LENGTH_MS, Sensor};
use crate::suite;

/// A line of the truth: a fault, or with no reason the clip as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Name of the clip.
    pub clip: String,
    /// Which sensor.
    pub sensor: Sensor,
    /// What is seen or heard.
    pub kind: String,
    /// How it is coded: `lossless`, `h264` or `aac`.
    pub coding: String,
    /// The reason to give; `None` for the clip as a whole.
    pub reason: Option<Reason>,
    /// Which form of the fault.
    pub form: Option<String>,
    /// Its start, or 0.
    pub from_ms: u64,
    /// Its end, or the clip's.
    pub to_ms: u64,
    /// By how much samples arrive late at most, beyond what a fault does: what a detector cannot have known.
    pub late_ms: u64,
    /// Why nobody can decide: the same signal is healthy elsewhere, or a fault.
    pub undecidable: Option<String>,
}

/// A line of an answer: a sensor is lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Name of the clip.
    pub clip: String,
    /// Why.
    pub reason: Reason,
    /// When the detector said so.
    pub from_ms: u64,
    /// When it said that signal is back; the end of the clip if it did not.
    pub to_ms: u64,
    /// When it trusted the sensor again, if it did.
    pub healthy_ms: Option<u64>,
}

/// The truth about a clip, its own line first.
pub fn truth_of(clip: &Clip) -> Vec<Truth> {
    let whole = Truth {
        clip: clip.name.clone(),
        sensor: clip.material.sensor(),
        kind: clip.material.name(),
        coding: clip.coding.name().into(),
        reason: None,
        form: None,
        from_ms: 0,
        to_ms: LENGTH_MS,
        late_ms: suite::late_ms(clip),
        undecidable: clip.undecidable.map(str::to_owned),
    };
    let faults = clip.faults.iter().map(|fault| Truth {
        reason: Some(fault.effect.reason()),
        form: Some(fault.effect.name().into()),
        from_ms: fault.from_ms,
        to_ms: fault.to_ms,
        undecidable: clip.undecidable(fault).map(str::to_owned),
        ..whole.clone()
    });
    let faults: Vec<_> = faults.collect();
    std::iter::once(whole).chain(faults).collect()
}

/// Reads a file of lines.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let lines = BufReader::new(file).lines().enumerate();
    let parse = |(number, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line?)
            .with_context(|| format!("read line {} of {}", number + 1, path.display()))
    };
    lines.map(parse).collect()
}

/// A file of lines that is being written.
pub struct Lines(BufWriter<File>);

impl Lines {
    /// An empty file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    /// Appends lines.
    pub fn write<T: Serialize>(&mut self, lines: &[T]) -> Result<()> {
        for line in lines {
            serde_json::to_writer(&mut self.0, line)?;
            self.0.write_all(b"\n")?;
        }
        Ok(self.0.flush()?)
    }
}
