//! `cmptd offset` on clips of flashes and beeps whose offset is known.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::{HEIGHT, Second, WIDTH};
use avdigits::speech::RATE_HZ;
use serde_json::Value;

/// Exact to this. Sound is not compressed here: AAC at 16 kHz comes back from a file 64 ms late, a block
/// of its encoder, and that is rightly measured too.
const TOLERANCE_MS: f64 = 10.0;
const SECONDS: usize = 16;

/// A flash at the start of every fourth second, and a beep `offset_ms` after each.
fn programme(offset_ms: i64) -> Vec<Second> {
    let flashes: Vec<usize> = (2..SECONDS - 1).step_by(4).collect();
    let beeps: Vec<i64> = flashes.iter().map(|flash| 1000 * *flash as i64 + offset_ms).collect();
    let sample = |second: usize, n: usize| {
        let ms = (1000 * second + 1000 * n / RATE_HZ) as i64;
        let beeping = beeps.iter().any(|beep| (*beep..beep + 150).contains(&ms));
        if beeping { 0.6 * (n as f32 * 0.4).sin() } else { 0.002 * (n as f32 * 1.7).sin() }
    };
    let second = |index: usize| Second {
        digit: 0,
        frame: vec![if flashes.contains(&index) { 220 } else { 30 }; WIDTH * HEIGHT],
        sound: (0..RATE_HZ).map(|n| sample(index, n)).collect(),
    };
    (0..SECONDS).map(second).collect()
}

fn write(path: &Path, programme: &[Second], tracks: Tracks) {
    clip::write(path, programme, Quality::Lossless, tracks).unwrap();
}

fn offset(media: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cmptd")).arg("offset").args(media).output().unwrap()
}

/// Measured minus true, in milliseconds, and what is to be configured.
fn measured(output: &Output, offset_ms: i64) -> (f64, Value) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = report["audio_after_video_ms"].as_f64().unwrap() - offset_ms as f64;
    println!("{offset_ms} ms: {report}");
    (error, report["configure"].clone())
}

#[test]
fn a_known_offset_is_measured_to_ten_milliseconds() {
    let folder = tempfile::tempdir().unwrap();
    for offset_ms in [-1000, -200, -40, 40, 200, 1000] {
        let path = folder.path().join("clip.mkv");
        write(&path, &programme(offset_ms), Tracks::Both);
        let (error, configure) = measured(&offset(&[&path]), offset_ms);
        assert!(error.abs() <= TOLERANCE_MS, "{offset_ms} ms: {error} ms off");
        // Whatever is stamped earlier is moved later.
        assert_eq!(configure["source"], if offset_ms < 0 { "audio" } else { "video" });
        let off = configure["offset_ms"].as_i64().unwrap() - offset_ms.abs();
        assert!(off.abs() <= 10, "{configure} for {offset_ms} ms");
    }
}

#[test]
fn sound_and_pictures_may_come_from_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, sound) = (folder.path().join("pictures.mkv"), folder.path().join("sound.mkv"));
    write(&pictures, &programme(0), Tracks::Video);
    write(&sound, &programme(200), Tracks::Audio);
    let (error, _) = measured(&offset(&[&pictures, &sound]), 200);
    assert!(error.abs() <= TOLERANCE_MS, "{error} ms off");
}

#[test]
fn a_clip_without_events_is_bad_data() {
    const BAD_DATA: i32 = 65;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dull.mkv");
    let dull = Second { digit: 0, frame: vec![90; WIDTH * HEIGHT], sound: vec![0.0; RATE_HZ] };
    write(&path, &vec![dull; 3], Tracks::Both);
    let output = offset(&[&path]);
    assert_eq!(output.status.code(), Some(BAD_DATA));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("failed to find events: 0 flashes and 0 beeps, expected at least 3"),
        "{message}"
    );
}
