//! What a service manager is told, and when.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use avdigits::clip::{self, Quality, Tracks};
use avdigits::programme::Second;
use cmpt_bundle::{Manifest, testing};
use tempfile::TempDir;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon whose service manager is the test.
struct Service {
    _folder: TempDir,
    socket: UnixDatagram,
    daemon: Child,
}

impl Service {
    /// Starts `cmptd run` with one stream that plays `uri`.
    fn start(folder: TempDir, uri: &str) -> Self {
        Self::start_with(folder, testing::manifest(), uri)
    }

    fn start_with(folder: TempDir, manifest: Manifest, uri: &str) -> Self {
        testing::write(folder.path().join("tiny"), manifest).unwrap();
        let config = format!(
            "node = \"demo\"\n[model]\nbundle = \"tiny\"\n[publish]\nstdout = true\n[[stream]]\nid = \"desk\"\n\
             [[stream.source]]\nuri = \"{uri}\"\nprovides = [\"audio\", \"video\"]\n"
        );
        fs::write(folder.path().join("cmptd.toml"), config).unwrap();
        let address = folder.path().join("notify");
        let socket = UnixDatagram::bind(&address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmptd"));
        command.args(["run", "--config", "cmptd.toml"]).current_dir(folder.path());
        command.env("NOTIFY_SOCKET", address).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = command.spawn().unwrap();
        Self { _folder: folder, socket, daemon }
    }

    /// Waits for `state`; everything that was said before it.
    fn wait_for(&self, state: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let mut message = [0; 1024];
            let length =
                self.socket.recv(&mut message).unwrap_or_else(|e| panic!("no {state}: {e}, {before:?}"));
            let message = std::str::from_utf8(&message[..length]).unwrap();
            if message.lines().any(|line| line == state) {
                return before;
            }
            before.push(message.to_owned());
        }
    }

    /// Asks it to stop, as systemd does.
    fn stop(mut self) {
        assert!(Command::new("kill").arg(self.daemon.id().to_string()).status().unwrap().success());
        self.wait_for("STOPPING=1");
        assert_eq!(self.daemon.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It is still there only when a test failed.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn clip(folder: &Path) {
    let seconds: Vec<Second> = (0..3).map(Second::made_up).collect();
    clip::write(&folder.join("clip.mkv"), &seconds, Quality::Lossless, Tracks::Both).unwrap();
}

#[test]
fn it_is_ready_first_feeds_the_watchdog_with_windows_and_says_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    let service = Service::start(folder, "clip.mkv");
    assert_eq!(service.wait_for("READY=1"), [""; 0]);
    service.wait_for("WATCHDOG=1");
    service.stop();
}

#[test]
fn a_camera_that_is_down_at_boot_is_a_dropout_and_no_failed_start() {
    let service = Service::start(tempfile::tempdir().unwrap(), "nowhere.mkv");
    service.wait_for("READY=1");
    // Its windows are blind, and they are progress all the same: nothing hangs.
    service.wait_for("WATCHDOG=1");
    service.stop();
}

#[test]
fn a_bundle_that_fails_its_golden_replay_is_never_ready() {
    let folder = tempfile::tempdir().unwrap();
    clip(folder.path());
    let mut manifest = testing::manifest();
    manifest.golden.tolerance = 1e-30;
    let mut service = Service::start_with(folder, manifest, "clip.mkv");
    assert_eq!(service.daemon.wait().unwrap().code(), Some(65));
    service.socket.set_nonblocking(true).unwrap();
    assert!(service.socket.recv(&mut [0; 1024]).is_err(), "nothing was said");
}
