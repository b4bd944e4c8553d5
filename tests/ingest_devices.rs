//! Sound devices without hardware: a private PulseAudio, whose source is a null sink that somebody
//! plays a tone to, and ALSA on top of it. Unplugged and plugged in again under a whole daemon.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use cmpt_bundle::testing;
use tempfile::TempDir;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A sound server with one device, `desk.monitor`, that lets go of everything when it is dropped.
struct SoundServer {
    folder: TempDir,
    process: Child,
    /// What the device is made of, to be unloaded in reverse order.
    modules: Vec<String>,
}

impl SoundServer {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("native");
        let script =
            format!("load-module module-native-protocol-unix auth-anonymous=1 socket={}\n", socket.display());
        fs::write(folder.path().join("script"), script).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("pulseaudio");
        command.args([
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--disable-shm=yes",
            "-F",
        ]);
        command.arg(folder.path().join("script"));
        command.envs([("HOME", folder.path()), ("XDG_RUNTIME_DIR", folder.path())]);
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut server = Self { folder, process, modules: Vec::new() };
        let started = Instant::now();
        while server.control(&["info"]).is_none() {
            assert!(started.elapsed() < DEADLINE, "the sound server answers");
            assert!(server.process.try_wait().unwrap().is_none(), "the sound server runs");
        }
        server.plug();
        server
    }

    fn address(&self) -> String {
        format!("unix:{}", self.folder.path().join("native").display())
    }

    /// What it answers; `None` if it refuses.
    fn control(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("pactl");
        command.env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        let output = command.arg("--server").arg(self.address()).args(arguments).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn plug(&mut self) {
        for module in [
            ["module-null-sink", "sink_name=desk", "rate=16000"].as_slice(),
            ["module-sine", "sink=desk", "frequency=440"].as_slice(),
        ] {
            let number = self.control(&[&["load-module"], module].concat()).unwrap();
            self.modules.push(number.trim().to_owned());
        }
    }

    fn unplug(&mut self) {
        while let Some(module) = self.modules.pop() {
            self.control(&["unload-module", &module]).unwrap();
        }
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A daemon that listens to `pipeline`.
struct Daemon {
    folder: TempDir,
    process: Child,
    stdout: BufReader<ChildStdout>,
    windows: u64,
}

impl Daemon {
    fn start(pipeline: &str, asound: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        testing::write_tiny(folder.path().join("tiny")).unwrap();
        let config = format!(
            "node = \"demo\"\n[model]\nbundle = \"tiny\"\n[publish]\nstdout = true\n[[stream]]\nid = \"desk\"\n\
             [[stream.source]]\npipeline = \"{pipeline}\"\nprovides = [\"audio\"]\n\
             [stream.sensor.audio]\nstuck = false\n"
        );
        fs::write(folder.path().join("cmptd.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmptd"));
        command.args(["run", "--config", "cmptd.toml"]).current_dir(folder.path());
        if let Some(asound) = asound {
            command.env("ALSA_CONFIG_PATH", asound);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Self { folder, process, stdout, windows: 0 }
    }

    /// Reads labels until one holds `text`; none may be left out.
    fn label_with(&mut self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            assert!(
                line.contains(&format!("\"seq\":{},", self.windows)),
                "{line} is number {}",
                self.windows
            );
            self.windows += 1;
            if line.contains(text) {
                return line;
            }
            assert!(started.elapsed() < DEADLINE, "no {text}, but {line}\n{}", self.log());
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const HEARD: &str = "\"available\":[\"audio\"]";
const MISSING: &str = "\"missing\":{\"audio\":\"";

fn unplugged_and_plugged_in_again(server: &mut SoundServer, mut daemon: Daemon) {
    daemon.label_with(HEARD);
    server.unplug();
    let label = daemon.label_with(MISSING);
    assert!(["error", "no_buffers", "eos"].iter().any(|reason| label.contains(reason)), "{label}");
    server.plug();
    daemon.label_with(HEARD);
    let log = daemon.log();
    assert!(log.contains("source is down") && log.contains("source delivers"), "{log}");
}

#[test]
fn a_pulseaudio_source_that_is_unplugged_is_lost_and_heard_again_when_it_is_back() {
    let mut server = SoundServer::start();
    let pipeline =
        format!("pulsesrc server={} device=desk.monitor ! audioconvert name=audio", server.address());
    let daemon = Daemon::start(&pipeline, None);
    unplugged_and_plugged_in_again(&mut server, daemon);
}

#[test]
fn an_alsa_device_that_is_unplugged_is_lost_and_heard_again_when_it_is_back() {
    let mut server = SoundServer::start();
    let asound = server.folder.path().join("asound.conf");
    let device =
        format!("pcm.desk {{ type pulse server \"{}\" device \"desk.monitor\" }}\n", server.address());
    fs::write(&asound, device).unwrap();
    let daemon = Daemon::start("alsasrc device=desk ! audioconvert name=audio", Some(&asound));
    unplugged_and_plugged_in_again(&mut server, daemon);
}
