//! `cmptd sensors` on clips whose faults, and whose temptations, are known.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::{HEIGHT, Second, WIDTH};
use avdigits::speech::RATE_HZ;
use cmpt_bundle::testing;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a bundle, a configuration and a clip.
struct Site(TempDir);

impl Site {
    fn new(programme: &[Second]) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        testing::write_tiny(site.path("tiny")).unwrap();
        clip::write(&site.path("clip.mkv"), programme, Quality::Lossless, Tracks::Both).unwrap();
        site.configure("uri = \"clip.mkv\"", "");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a configuration with one source, and `more` at its end.
    fn configure(&self, source: &str, more: &str) {
        let config = format!(
            "node = \"demo\"\n[model]\nbundle = \"tiny\"\n[[stream]]\nid = \"desk\"\n\
             [[stream.source]]\n{source}\nprovides = [\"audio\", \"video\"]\n{more}"
        );
        fs::write(self.path("cmptd.toml"), config).unwrap();
    }

    fn cmptd(&self, command: &str, more: &[&str]) -> Output {
        let mut cmptd = Command::new(env!("CARGO_BIN_EXE_cmptd"));
        let cmptd = cmptd.current_dir(self.0.path()).env_remove("RUST_LOG");
        let output = cmptd.args([command, "--config", "cmptd.toml"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What `cmptd sensors` tells of the clip.
    fn watch(&self, more: &[&str]) -> Vec<Value> {
        let output = self.cmptd("sensors", &[&["clip.mkv"], more].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn of<'a>(lines: &'a [Value], kind: &str, modality: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind && line["modality"] == modality).collect()
}

/// States of a sensor as `lost by frozen`, with the second in which it changed.
fn changes(lines: &[Value], modality: &str) -> Vec<(i64, String)> {
    let told = |line: &Value| match line["reason"].as_str() {
        Some(reason) => format!("lost by {reason}"),
        None => line["state"].as_str().unwrap().to_owned(),
    };
    let changes = of(lines, "state", modality).into_iter();
    changes.map(|line| (line["at_ms"].as_i64().unwrap() / 1000, told(line))).collect()
}

/// Twenty-six seconds: silent in 3..8, frozen in 10..16, black in 19..23.
fn faults() -> Vec<Second> {
    let second = |at: u8| {
        let shown = if (10..16).contains(&at) { 10 } else { at };
        let mut second = Second::made_up(shown);
        if (3..8).contains(&at) {
            second.sound.fill(0.0);
        }
        if (19..23).contains(&at) {
            second.frame.fill(0);
        }
        second
    };
    (0..26).map(second).collect()
}

#[test]
fn a_frozen_a_black_and_a_silent_stretch_are_told_as_they_come_and_always_the_same() {
    let site = Site::new(&faults());
    let lines = site.watch(&[]);
    let told = |changes: &[(i64, &str)]| -> Vec<(i64, String)> {
        changes.iter().map(|(second, told)| (*second, (*told).to_owned())).collect()
    };
    assert_eq!(changes(&lines, "audio"), told(&[(5, "lost by silent"), (7, "recovering"), (8, "healthy")]));
    assert_eq!(
        changes(&lines, "video"),
        told(&[
            (12, "lost by frozen"),
            (16, "recovering"),
            (17, "healthy"),
            (21, "lost by black"),
            (23, "recovering"),
            (23, "healthy")
        ])
    );

    let seconds = of(&lines, "statistics", "audio");
    assert_eq!(seconds.len(), 26);
    assert_eq!((&seconds[6]["at_ms"], &seconds[6]["state"]), (&Value::from(7000), &Value::from("lost")));
    assert_eq!(seconds[6]["reason"], "silent");
    assert_eq!(seconds[6]["quantities"]["level_dbfs"]["max"], -144.0);
    assert_eq!(seconds[6]["quantities"]["level_dbfs"]["lost_at_most"], -80.0);
    let pictures = of(&lines, "statistics", "video");
    assert_eq!((&pictures[20]["samples"], pictures.len()), (&Value::from(10), 26));
    assert!(pictures[20]["quantities"]["luma"]["mean"].as_f64().unwrap() < 0.01, "{}", pictures[20]);
    assert!(pictures[24]["quantities"]["luma"]["mean"].as_f64().unwrap() > 0.1, "{}", pictures[24]);
    assert_eq!(pictures[20]["quantities"]["interval_ms"]["max"], 100.0);

    let last = lines.last().unwrap();
    assert_eq!(last["type"], "proposals");
    assert_eq!(last["windows"], 25, "the last one is due after the end");
    assert!(last["without"]["video"]["black"].as_u64().unwrap() >= 4, "{last}");
    assert_eq!(site.watch(&[]), lines);
}

#[test]
fn a_watch_can_be_of_a_part_of_the_clip() {
    let site = Site::new(&faults());
    let lines = site.watch(&["--for", "4s"]);
    assert_eq!(of(&lines, "statistics", "video").len(), 4);
    assert_eq!((changes(&lines, "audio"), changes(&lines, "video")), (vec![], vec![]));
}

/// A microphone so quiet that the defaults call it silent, and a night so dark that they call it black.
fn quiet_night() -> Vec<Second> {
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Some three of the lowest steps of 16 bits.
        (f64::from(seed) / 2f64.powi(31) - 1.0) as f32 * 3.0 / 65_536.0
    };
    let second = |at: usize| Second {
        digit: 0,
        frame: (0..WIDTH * HEIGHT)
            .map(|n| if (n % WIDTH < WIDTH / 8) == at.is_multiple_of(2) { 12 } else { 13 })
            .collect(),
        sound: (0..RATE_HZ).map(|_| noise()).collect(),
    };
    (0..12).map(second).collect()
}

#[test]
fn what_is_proposed_can_be_pasted_and_ends_the_false_alarms() {
    let site = Site::new(&quiet_night());
    let lines = site.watch(&[]);
    assert_eq!(changes(&lines, "audio"), [(2, "lost by silent".to_owned())]);
    assert_eq!(changes(&lines, "video"), [(2, "lost by black".to_owned())]);
    let closing = lines.last().unwrap();
    let keys = closing["changes"].as_array().unwrap().iter().map(|change| &change["key"]);
    assert_eq!(keys.collect::<Vec<_>>(), ["silent", "black"]);
    let toml = closing["toml"].as_str().unwrap();
    assert!(toml.contains("[stream.sensor.audio]\n# sound of -"), "{toml}");

    site.configure("uri = \"clip.mkv\"", toml);
    site.cmptd("check", &[]);
    let lines = site.watch(&[]);
    assert_eq!((changes(&lines, "audio"), changes(&lines, "video")), (vec![], vec![]));
    assert_eq!(lines.last().unwrap()["toml"], "", "nothing is left to change");
}

#[test]
fn live_sensors_are_watched_for_the_time_asked_for() {
    let site = Site::new(&faults()[..1]);
    site.configure(
        "pipeline = \"videotestsrc is-live=true pattern=ball ! video/x-raw,framerate=10/1 ! identity name=video \
         audiotestsrc is-live=true wave=silence ! identity name=audio\"",
        "",
    );
    let output = site.cmptd("sensors", &["--for", "4s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(of(&lines, "statistics", "video").len(), 4, "{text}");
    assert!(changes(&lines, "audio").iter().any(|(_, told)| told == "lost by silent"), "{text}");
    let remarks = lines.last().unwrap()["remarks"].to_string();
    assert!(remarks.contains("the sound was digitally silent, and did not end"), "{remarks}");
}
