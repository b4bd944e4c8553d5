//! A camera behind a password: the daemon gets in, and tells nobody how.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use avdigits::faults::Sensor;
use avdigits::programme::{HEIGHT, WIDTH};
use avdigits::sensor::{SensorServer, ServerLoop};
use cmpt_bundle::testing;

const USER: &str = "operator";
const PASSWORD: &str = "hunter2%40x";
/// `operator:hunter2%40x` as it goes over the wire.
const BASIC: &str = "b3BlcmF0b3I6aHVudGVyMiU0MHg=";

/// A camera that asks for a password, fed by a thread of its own.
struct GuardedCamera {
    url: String,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GuardedCamera {
    fn start() -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let servers = ServerLoop::start().unwrap();
            let server = SensorServer::guarded(&servers, Sensor::Camera, USER, PASSWORD).unwrap();
            tell.send(server.url()).unwrap();
            let mut luma = 0u8;
            while !ended.load(Ordering::Relaxed) {
                luma = luma.wrapping_add(5);
                server.send((0..3 * WIDTH * HEIGHT).map(|n| luma.wrapping_add((n / 150) as u8)).collect());
                // A live camera is in real time by definition; no assertion depends on its pace.
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { url: told.recv().unwrap(), over, thread: Some(thread) }
    }
}

impl Drop for GuardedCamera {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A daemon that logs everything there is to log.
fn daemon(folder: &Path, url: &str, credentials: &str) -> Child {
    testing::write_tiny(folder.join("tiny")).unwrap();
    fs::write(folder.join("camera"), credentials).unwrap();
    let config = format!(
        "node = \"demo\"\n[model]\nbundle = \"tiny\"\n[publish]\nstdout = true\n[[stream]]\nid = \"desk\"\n\
         [[stream.source]]\nuri = \"{url}\"\nprovides = [\"video\"]\ncredentials_file = \"camera\"\n"
    );
    fs::write(folder.join("cmptd.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmptd"));
    command.args(["run", "--config", "cmptd.toml"]).current_dir(folder).env("RUST_LOG", "trace");
    command.env_remove("GST_DEBUG").env("CREDENTIALS_DIRECTORY", folder);
    command.stdout(Stdio::piped()).stderr(fs::File::create(folder.join("log")).unwrap()).spawn().unwrap()
}

fn first_label_with(stdout: &mut BufReader<ChildStdout>, text: &str) -> String {
    let mut said = String::new();
    for line in stdout.lines().take(30) {
        said += &(line.unwrap() + "\n");
        if said.contains(text) {
            return said;
        }
    }
    panic!("no {text} in {said}");
}

/// Everything that it said, on both outputs.
fn said(mut daemon: Child, mut stdout: BufReader<ChildStdout>, folder: &Path) -> String {
    assert!(Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    rest + &fs::read_to_string(folder.join("log")).unwrap()
}

fn assert_secret(said: &str) {
    for secret in [PASSWORD, BASIC, "wrong-one"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[test]
fn the_daemon_gets_in_and_says_the_password_to_nobody_else() {
    let camera = GuardedCamera::start();
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = daemon(folder.path(), &camera.url, &format!("{USER}:{PASSWORD}\n"));
    let mut stdout = BufReader::new(daemon.stdout.take().unwrap());
    let labels = first_label_with(&mut stdout, "\"available\":[\"video\"]");
    let said = labels + &said(daemon, stdout, folder.path());
    assert!(said.contains("source delivers"), "{said}");
    assert_secret(&said);
}

#[test]
fn a_wrong_password_is_an_error_of_the_source_that_does_not_repeat_it() {
    let camera = GuardedCamera::start();
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = daemon(folder.path(), &camera.url, &format!("{USER}:wrong-one\n"));
    let mut stdout = BufReader::new(daemon.stdout.take().unwrap());
    let labels = first_label_with(&mut stdout, "\"video\":\"error\"");
    let said = labels + &said(daemon, stdout, folder.path());
    assert!(said.contains("source is down") && said.contains("nauthorized"), "{said}");
    assert_secret(&said);
}
