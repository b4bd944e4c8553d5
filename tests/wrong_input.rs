//! The binary, given wrong input: what it says, and how it ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::Second;
use cmpt_bundle::manifest::{FrontEnd, Metric, Modality, WordPieceSpec};
use cmpt_bundle::testing;
use cmpt_core::modality::Kind;
use tempfile::TempDir;

const USAGE: i32 = 64;
const BAD_DATA: i32 = 65;
const NO_INPUT: i32 = 66;
const UNAVAILABLE: i32 = 69;
const IO: i32 = 74;
const CONFIG: i32 = 78;

/// A folder with a sound bundle and a sound configuration, to be broken.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        testing::write_tiny(folder.path().join("tiny")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, config: &str) -> PathBuf {
        let path = self.path("cmptd.toml");
        fs::write(&path, config).unwrap();
        path
    }

    /// A configuration that plays `media`, with `more` at its head.
    fn config(&self, media: &Path, more: &str) -> PathBuf {
        self.write(&format!(
            "node = \"demo\"\n{more}\n[model]\nbundle = \"tiny\"\n[[stream]]\nid = \"desk\"\n\
             [[stream.source]]\nuri = \"{}\"\nprovides = [\"audio\", \"video\"]\n",
            media.display()
        ))
    }

    fn clip(&self, tracks: Tracks) -> PathBuf {
        let path = self.path("clip.mkv");
        clip::write(&path, &(0..2).map(Second::made_up).collect::<Vec<_>>(), Quality::Lossless, tracks)
            .unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmptd"));
        command.current_dir(self.folder.path()).args(arguments).env_remove("RUST_LOG");
        command
    }

    fn cmptd(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

/// Asserts how a command ended and that its last words hold each of `said`.
#[track_caller]
fn check(output: &Output, code: i32, said: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    for said in said {
        assert!(stderr.contains(said), "not said: {said}\n{stderr}");
    }
    assert_eq!(output.status.code(), Some(code), "{stderr}");
}

#[test]
fn a_command_line_that_cannot_be_understood_is_a_usage_error() {
    let site = Site::new();
    check(&site.cmptd(&[]), USAGE, &["Usage: cmptd"]);
    check(&site.cmptd(&["run"]), USAGE, &["--config <FILE>"]);
    let replay = ["replay", "--config", "cmptd.toml", "--drop", "video@2-3", "clip.mkv"];
    check(&site.cmptd(&replay), USAGE, &["video@2-3", "expected MODALITY@FROM..TO[:REASON]"]);
    assert_eq!(site.cmptd(&["--version"]).status.code(), Some(0));
}

#[test]
fn a_drop_of_what_the_stream_does_not_have_is_a_usage_error() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "");
    let replay = ["replay", "--config", "cmptd.toml", "--drop", "lidar@2..3", "clip.mkv"];
    check(&site.cmptd(&replay), USAGE, &["failed to drop modality `lidar`: the stream has audio, video"]);
    let replay = ["replay", "--config", "cmptd.toml", "--stream", "door", "clip.mkv"];
    check(&site.cmptd(&replay), USAGE, &["failed to replay stream `door`: the configuration has desk"]);
    let replay = ["replay", "--config", "cmptd.toml", "a.mkv", "b.mkv"];
    check(&site.cmptd(&replay), USAGE, &["expected one file, or one for each of its 1 sources"]);
}

#[test]
fn a_missing_configuration_is_named_with_its_absolute_path() {
    let site = Site::new();
    let path = site.path("nowhere.toml").display().to_string();
    check(&site.cmptd(&["check", "--config", "nowhere.toml"]), NO_INPUT, &["read configuration", &path]);
}

#[test]
fn two_mistakes_in_one_file_are_both_told() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "nodes = 3\n[engine]\ndevice = \"gpu\"");
    for command in ["check", "run"] {
        let output = site.cmptd(&[command, "--config", "cmptd.toml"]);
        check(
            &output,
            CONFIG,
            &[
                "cmptd.toml:2: `nodes`: unknown field `nodes`, expected one of `node`, `model`",
                "cmptd.toml:4: `engine.device` is \"gpu\", expected one of \"auto\", \"cuda\", \"cpu\", \"tract\"",
            ],
        );
    }
}

#[test]
fn mistakes_that_only_the_bundle_shows_are_told_with_their_line() {
    let site = Site::new();
    let config = fs::read_to_string(site.config(Path::new("clip.mkv"), "")).unwrap();
    let config = config.replace("\"video\"]", "\"lidar\"]") + "[stream.sensor.audio]\nfrozen = false\n";
    site.write(&config);
    check(
        &site.cmptd(&["check", "--config", "cmptd.toml"]),
        CONFIG,
        &[
            "cmptd.toml:9: `stream[0].source[0].provides` is \"lidar\", expected a modality of the bundle",
            "cmptd.toml:10: `stream[0].sensor.audio.frozen` is set, expected thresholds for sound only",
            "2 mistakes found",
        ],
    );
}

#[test]
fn a_missing_model_is_named_with_its_absolute_path() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "");
    fs::remove_dir_all(site.path("tiny")).unwrap();
    let path = site.path("tiny").display().to_string();
    for (command, code) in [("run", NO_INPUT), ("check", CONFIG)] {
        let output = site.cmptd(&[command, "--config", "cmptd.toml"]);
        check(&output, code, &["open bundle", &path, "no folder with a manifest.json there"]);
    }
    check(&site.cmptd(&["bundle", "info", "tiny"]), NO_INPUT, &["failed to open bundle", &path]);
}

#[test]
fn a_missing_file_or_a_flipped_byte_in_a_bundle_is_named() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "");
    let fusion = site.path("tiny/fusion.onnx");
    let mut bytes = fs::read(&fusion).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&fusion, bytes).unwrap();
    fs::remove_file(site.path("tiny/audio.onnx")).unwrap();
    let said = ["fusion.onnx: sha256 is", "audio.onnx: cannot be read"];
    check(&site.cmptd(&["bundle", "verify", "tiny"]), BAD_DATA, &said);
    check(&site.cmptd(&["run", "--config", "cmptd.toml"]), BAD_DATA, &said);
    check(&site.cmptd(&["check", "--config", "cmptd.toml"]), CONFIG, &said);
}

#[test]
fn an_onnx_runtime_that_cannot_be_had_is_named_with_where_it_was_looked_for() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "[engine]\ndevice = \"cpu\"\nlibrary = \"lib/onnx.so\"");
    let path = site.path("lib/onnx.so").display().to_string();
    let output = site.cmptd(&["run", "--config", "cmptd.toml"]);
    check(&output, UNAVAILABLE, &["failed to load ONNX Runtime, looked in:", &path, "no such file"]);
}

#[test]
fn cuda_that_cannot_be_used_says_what_lacks() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "[engine]\ndevice = \"cuda\"");
    check(&site.cmptd(&["run", "--config", "cmptd.toml"]), UNAVAILABLE, &["failed to use CUDA: "]);
}

#[test]
fn media_that_is_missing_or_lacks_sound_is_named() {
    let site = Site::new();
    site.config(Path::new("clip.mkv"), "");
    let replay = ["replay", "--config", "cmptd.toml", "clip.mkv"];
    check(&site.cmptd(&replay), NO_INPUT, &[&site.path("clip.mkv").display().to_string()]);
    site.clip(Tracks::Video);
    check(&site.cmptd(&replay), BAD_DATA, &["clip.mkv: it has no audio stream, wanted by modality audio"]);
}

#[test]
fn a_watch_of_sensors_that_cannot_be_is_refused_as_a_replay_is() {
    let site = Site::new();
    let sensors = |more: &[&str]| site.cmptd(&[&["sensors", "--config", "cmptd.toml"], more].concat());
    check(&sensors(&[]), NO_INPUT, &["read configuration", &site.path("cmptd.toml").display().to_string()]);
    let config = fs::read_to_string(site.config(Path::new("clip.mkv"), "")).unwrap();
    for span in ["60", "0s", "a minute"] {
        check(&sensors(&["--for", span]), USAGE, &[span, "expected a time of 1s to 12h, such as 60s"]);
    }
    check(
        &sensors(&["--stream", "door"]),
        USAGE,
        &["failed to watch stream `door`: the configuration has desk"],
    );
    check(&sensors(&["a.mkv", "b.mkv"]), USAGE, &["expected one file, or one for each of its 1 sources"]);
    check(&sensors(&["clip.mkv"]), NO_INPUT, &[&site.path("clip.mkv").display().to_string()]);
    site.clip(Tracks::Video);
    let said = ["clip.mkv: it has no audio stream, wanted by modality audio"];
    check(&sensors(&["clip.mkv"]), BAD_DATA, &said);
    site.clip(Tracks::Both);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut watch = site.command(&["sensors", "--config", "cmptd.toml", "clip.mkv"]);
    check(&watch.stdout(full).output().unwrap(), IO, &["failed to write to standard output: No space left"]);
    let second = config.split_once("[[stream]]").unwrap().1.replace("desk", "door");
    site.write(&format!("{config}[[stream]]{second}"));
    check(&sensors(&[]), USAGE, &["watch one of several streams: expected --stream with one of desk, door"]);
}

#[test]
fn a_model_with_text_is_refused_because_no_sensor_gives_text() {
    let site = Site::new();
    let mut manifest = testing::manifest();
    manifest.modalities[1] = Modality {
        name: "caption".into(),
        kind: Kind::Text,
        front_end: FrontEnd::WordPiece(WordPieceSpec { tokens: 8, padding: 0 }),
        encoder: "caption.onnx".into(),
        frames: 1,
        ..manifest.modalities[1].clone()
    };
    manifest.modalities[0].proxies = vec!["caption".into()];
    for pattern in &mut manifest.patterns {
        for name in &mut pattern.available {
            *name = name.replace("video", "caption");
        }
    }
    testing::write(site.path("texts"), manifest).unwrap();
    let config = fs::read_to_string(site.config(Path::new("clip.mkv"), "")).unwrap();
    site.write(&config.replace("\"tiny\"", "\"texts\"").replace(", \"video\"", ""));
    let said = [
        &site.path("texts").display().to_string(),
        "`modalities[1].kind` is text, expected audio, video or image, because no source gives text",
    ];
    for (command, code) in [("run", BAD_DATA), ("sensors", BAD_DATA), ("check", CONFIG)] {
        check(&site.cmptd(&[command, "--config", "cmptd.toml"]), code, &said);
    }
}

#[test]
fn a_model_that_was_never_measured_expects_nothing_of_its_labels() {
    let site = Site::new();
    let mut manifest = testing::manifest();
    for pattern in &mut manifest.patterns {
        pattern.metric = Metric { name: "unmeasured".into(), value: 0.0, samples: 0 };
    }
    testing::write(site.path("untrained"), manifest).unwrap();
    site.clip(Tracks::Both);
    let config = fs::read_to_string(site.config(Path::new("clip.mkv"), "")).unwrap();
    site.write(&config.replace("\"tiny\"", "\"untrained\""));
    let output = site.cmptd(&["replay", "--config", "cmptd.toml", "clip.mkv"]);
    check(&output, 0, &[]);
    let labels = String::from_utf8(output.stdout).unwrap();
    assert_eq!(labels.lines().count(), 2);
    for line in labels.lines() {
        let label: serde_json::Value = serde_json::from_str(line).unwrap();
        // Null, not absent and not 0: a template that reads the key finds that there is no figure.
        assert_eq!(label.get("expected"), Some(&serde_json::Value::Null), "{line}");
        assert_eq!(label["outcome"], "label");
    }
}

#[test]
fn a_metrics_port_in_use_is_named() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.config(Path::new("clip.mkv"), &format!("[health]\nlisten = \"{address}\""));
    let output = site.cmptd(&["run", "--config", "cmptd.toml"]);
    check(
        &output,
        UNAVAILABLE,
        &[&format!("failed to serve metrics on {address} (`health.listen`)"), "in use"],
    );
}

#[test]
fn a_missing_password_file_is_named() {
    let site = Site::new();
    site.config(
        Path::new("clip.mkv"),
        "[publish.mqtt]\nurl = \"mqtt://127.0.0.1\"\nusername = \"u\"\npassword_file = \"secret\"",
    );
    let path = site.path("secret").display().to_string();
    let output = site.cmptd(&["run", "--config", "cmptd.toml"]);
    check(&output, NO_INPUT, &["failed to read `publish.mqtt.password_file`", &path]);
}

#[test]
fn a_full_disk_ends_a_replay_with_an_error() {
    let site = Site::new();
    site.clip(Tracks::Both);
    site.config(Path::new("clip.mkv"), "");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        site.command(&["replay", "--config", "cmptd.toml", "clip.mkv"]).stdout(full).output().unwrap();
    check(&output, IO, &["failed to write labels to standard output: No space left on device"]);
    // The engine had ended before the process did: it has nothing to say on the way out.
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("ort::"), "{stderr}");
}

#[test]
fn a_replay_tells_every_window_and_always_the_same() {
    let site = Site::new();
    site.clip(Tracks::Both);
    site.config(Path::new("clip.mkv"), "");
    let replay = ["replay", "--config", "cmptd.toml", "--drop", "video@1..2:black", "clip.mkv"];
    let first = site.cmptd(&replay);
    check(&first, 0, &[]);
    let labels = String::from_utf8(first.stdout.clone()).unwrap();
    let labels: Vec<serde_json::Value> =
        labels.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(labels.iter().map(|label| label["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(labels[0]["path"], "full");
    assert_eq!(labels[1]["missing"]["video"], "black");
    assert_eq!(site.cmptd(&replay).stdout, first.stdout);
    let realtime = site.cmptd(&[&replay[..], &["--realtime"]].concat());
    let realtime = String::from_utf8(realtime.stdout).unwrap();
    for (line, label) in realtime.lines().zip(&labels) {
        let live: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["seq", "label", "path", "missing"] {
            assert_eq!(live[key], label[key], "{key}");
        }
    }
    assert_eq!(realtime.lines().count(), labels.len());
}

/// Kills the daemon when a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_broker_that_refuses_stops_no_label_and_a_signal_ends_in_good_order() {
    let site = Site::new();
    site.clip(Tracks::Both);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let publish = format!("[publish]\nstdout = true\n[publish.mqtt]\nurl = \"mqtt://{free}\"");
    site.config(Path::new("clip.mkv"), &publish);
    let mut command = site.command(&["run", "--config", "cmptd.toml"]);
    let mut daemon = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut labels = BufReader::new(daemon.0.stdout.take().unwrap()).lines();
    for seq in 0..2 {
        let label: serde_json::Value = serde_json::from_str(&labels.next().unwrap().unwrap()).unwrap();
        assert_eq!(label["seq"], seq);
    }
    let terminated = Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap();
    assert!(terminated.success());
    let mut stderr = String::new();
    daemon.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(stderr.contains("broker is not reachable, labels wait for it"), "{stderr}");
    assert!(stderr.contains("Connection refused"), "{stderr}");
    assert!(stderr.contains("stopped before the broker had every label"), "{stderr}");
}
