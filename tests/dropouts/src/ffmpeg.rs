//! What ffmpeg's `freezedetect`, `blackdetect` and `silencedetect` say, with their defaults.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use cmpt_core::dropout::Reason;

use crate::clip::{LENGTH_MS, Sensor};
use crate::coding::{CodingError, bytes_of, raw_pictures, raw_sound};
use crate::lines::Alarm;

/// By default all three report what has lasted for two seconds, and date it back.
const DURATION_MS: u64 = 2000;

/// The filters over one clip.
pub struct Filters {
    child: Child,
    input: Option<ChildStdin>,
    path: std::path::PathBuf,
}

impl Filters {
    /// Over content that is fed in.
    pub fn over_content(clip: &str, sensor: Sensor) -> Result<Self, CodingError> {
        let mut ffmpeg = loud();
        match sensor {
            Sensor::Video => ffmpeg.args(raw_pictures()),
            Sensor::Audio => ffmpeg.args(raw_sound()),
        };
        ffmpeg.args(["-i", "-"]).stdin(Stdio::piped());
        Self::start(ffmpeg, sensor, Path::new(clip))
    }

    /// Over a file.
    pub fn over_file(path: &Path, sensor: Sensor) -> Result<Self, CodingError> {
        let mut ffmpeg = loud();
        ffmpeg.arg("-i").arg(path).stdin(Stdio::null());
        Self::start(ffmpeg, sensor, path)
    }

    fn start(mut ffmpeg: Command, sensor: Sensor, path: &Path) -> Result<Self, CodingError> {
        match sensor {
            Sensor::Video => ffmpeg.args(["-vf", "freezedetect,blackdetect"]),
            Sensor::Audio => ffmpeg.args(["-af", "silencedetect"]),
        };
        ffmpeg.args(["-f", "null", "-"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ffmpeg.spawn().map_err(CodingError::Start)?;
        let input = child.stdin.take();
        Ok(Self { child, input, path: path.into() })
    }

    /// Appends a picture.
    pub fn picture(&mut self, luma: &[u8]) -> Result<(), CodingError> {
        let input = self.input.as_mut().expect("content is fed to filters that take it");
        input.write_all(luma).map_err(CodingError::Feed)
    }

    /// Appends a block of sound.
    pub fn block(&mut self, samples: &[f32]) -> Result<(), CodingError> {
        let input = self.input.as_mut().expect("content is fed to filters that take it");
        input.write_all(&bytes_of(samples)).map_err(CodingError::Feed)
    }

    /// What they say of the clip called `clip`.
    pub fn finish(mut self, clip: &str) -> Result<Vec<Alarm>, CodingError> {
        drop(self.input.take());
        let output = self.child.wait_with_output().map_err(CodingError::Start)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let message = said.lines().last().unwrap_or("nothing").to_owned();
            return Err(CodingError::Failed { path: self.path, message });
        }
        Ok(parse(clip, &said))
    }
}

/// The alarms in what ffmpeg logs.
pub fn parse(clip: &str, log: &str) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = Vec::new();
    for line in log.lines() {
        if let Some(start) = after(line, "freeze_start:") {
            alarms.push(alarm(clip, Reason::Frozen, start, None));
        } else if let Some(end) = after(line, "freeze_end:") {
            close(&mut alarms, Reason::Frozen, end);
        } else if let Some(start) = after(line, "silence_start:") {
            alarms.push(alarm(clip, Reason::Silent, start, None));
        } else if let Some(end) = after(line, "silence_end:") {
            close(&mut alarms, Reason::Silent, end);
        } else if let (Some(start), Some(end)) = (after(line, "black_start:"), after(line, "black_end:")) {
            alarms.push(alarm(clip, Reason::Black, start, Some(end)));
        }
    }
    alarms.sort_by_key(|alarm| alarm.from_ms);
    alarms
}

fn after(line: &str, key: &str) -> Option<u64> {
    let rest = line.split_once(key)?.1.trim_start();
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || "+-.e".contains(*c)).collect();
    Some((number.parse::<f64>().ok()? * 1000.0).round().max(0.0) as u64)
}

fn alarm(clip: &str, reason: Reason, start_ms: u64, end_ms: Option<u64>) -> Alarm {
    let to_ms = end_ms.unwrap_or(LENGTH_MS);
    Alarm { clip: clip.into(), reason, from_ms: start_ms + DURATION_MS, to_ms, healthy_ms: end_ms }
}

fn close(alarms: &mut [Alarm], reason: Reason, end_ms: u64) {
    let open = alarms.iter_mut().rev().find(|alarm| alarm.reason == reason && alarm.healthy_ms.is_none());
    if let Some(open) = open {
        open.to_ms = end_ms;
        open.healthy_ms = Some(end_ms);
    }
}

fn loud() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostats", "-loglevel", "info", "-threads", "1", "-filter_threads", "1"]);
    ffmpeg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_dated_to_when_it_could_be_raised() {
        let log = "[freezedetect @ 0x5] lavfi.freezedetect.freeze_start: 5.1\n\
            [silencedetect @ 0x5] silence_start: -0.002\n\
            [blackdetect @ 0x5] black_start:7 black_end:9.5 black_duration:2.5\n\
            [freezedetect @ 0x5] lavfi.freezedetect.freeze_duration: 4\n\
            [freezedetect @ 0x5] lavfi.freezedetect.freeze_end: 9.1\n\
            [silencedetect @ 0x5] silence_end: 4.25 | silence_duration: 4.252\n\
            [freezedetect @ 0x5] lavfi.freezedetect.freeze_start: 100\n";
        let found = parse("a", log);
        let found: Vec<_> = found.iter().map(|a| (a.reason, a.from_ms, a.to_ms, a.healthy_ms)).collect();
        let expected = [
            (Reason::Silent, 2000, 4250, Some(4250)),
            (Reason::Frozen, 7100, 9100, Some(9100)),
            (Reason::Black, 9000, 9500, Some(9500)),
            (Reason::Frozen, 102_000, LENGTH_MS, None),
        ];
        assert_eq!(found, expected);
    }
}
