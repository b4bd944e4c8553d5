//! Carries a plan of faults out against a running `cmptd`, and watches what it costs the process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::clip;
use crate::faults::Sensor;
use crate::programme::{HEIGHT, WIDTH};
use crate::score::Label;
use crate::sensor::{SensorServer, ServerLoop};
use crate::speech::RATE_HZ;
use crate::torment::{Blow, Happened, Planned};

/// Beat of the sensors: a block of sound each, a picture every fifth.
const BEAT: Duration = Duration::from_millis(20);
const BEATS_PER_PICTURE: u64 = 5;
/// How often the process is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long windows are awaited after the last fault.
const AFTERMATH: Duration = Duration::from_secs(6);
/// Servers listen from here on: below the ports that the kernel gives to clients, or one of those could
/// hold the port of a server that was killed and is to come back.
const FIRST_PORT: u16 = 18_554;
/// Sizes that a resized camera changes between.
const SIZES: [(usize, usize); 3] = [(WIDTH, HEIGHT), (640, 480), (352, 288)];

/// What is run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The daemon.
    pub cmptd: PathBuf,
    /// The bundle that it is to run.
    pub bundle: PathBuf,
    /// How many streams, each with a camera and a microphone.
    pub streams: usize,
    /// Whether media come over UDP.
    pub udp: bool,
    /// Where the configuration and the daemon's log go.
    pub folder: PathBuf,
    /// How long it takes, at least.
    pub length: Duration,
}

/// The process at one time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Look {
    /// Since the start, in seconds.
    pub at_s: u64,
    /// Resident memory.
    pub rss_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub descriptors: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Record {
    /// Faults as they happened.
    pub happened: Vec<Happened>,
    /// Every label.
    pub labels: Vec<Label>,
    /// The process over time.
    pub looks: Vec<Look>,
}

/// Plays two sensors per stream to a `cmptd` of its own and carries out `plan`.
pub fn run(setup: &Setup, plan: &[Planned]) -> Result<Record> {
    if plan.iter().any(|fault| fault.blow == Blow::Cut) {
        ensure_private_network()?;
    }
    let servers = ServerLoop::start()?;
    let mut ports = (FIRST_PORT..).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let rigs = (0..setup.streams).map(|_| Rig::listen(&servers, &mut ports));
    let mut rigs = rigs.collect::<Result<Vec<_>>>()?;
    let config = setup.folder.join("cmptd.toml");
    fs::write(&config, configuration(setup, &rigs)).context("write the configuration")?;
    let mut daemon = Daemon::start(&setup.cmptd, &config, &setup.folder)?;

    let (start, start_unix) = (Instant::now(), unix());
    let end = plan.iter().map(|fault| fault.to).max().unwrap_or_default() + AFTERMATH;
    let end = end.max(setup.length);
    let mut acts = acts(plan);
    let (mut happened, mut looks) = (Vec::new(), Vec::new());
    let mut beat = 0u64;
    while start.elapsed() < end {
        let now = start.elapsed();
        while let Some(act) = acts.pop_if(|act| act.at <= now) {
            let to_ms = carry_out(&act, &mut rigs, start_unix, start)?;
            if act.ends {
                happened.push(act.happened(to_ms));
            } else {
                note_begin(&mut acts, &act, to_ms);
            }
        }
        rigs.iter_mut().for_each(|rig| rig.send(beat));
        if now.as_secs() / LOOK_INTERVAL.as_secs() >= looks.len() as u64 {
            looks.push(daemon.look(now)?);
            if let Some(Look { at_s, rss_kib, threads, descriptors }) = looks.last() {
                eprintln!(
                    "{at_s} s: {rss_kib} KiB, {threads} threads, {descriptors} descriptors, {} faults",
                    happened.len()
                );
            }
        }
        beat += 1;
        let next = start + BEAT * u32::try_from(beat).context("beats fit")?;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let labels = daemon.stop()?;
    Ok(Record { happened, labels, looks })
}

/// Memory, threads and descriptors after a warm-up of five minutes, or a third if it was shorter.
pub fn cost(looks: &[Look]) -> String {
    let settled = looks.iter().filter(|look| look.at_s >= 300).count();
    let after = &looks[looks.len() - if settled > 2 { settled } else { looks.len() * 2 / 3 }..];
    let (Some(first), Some(last)) = (after.first(), after.last()) else { return "not seen".into() };
    let most = |of: fn(&Look) -> u64| after.iter().map(of).max().unwrap_or_default();
    let (mean_at, mean_rss) = (
        after.iter().map(|look| look.at_s as f64).sum::<f64>() / after.len() as f64,
        after.iter().map(|look| look.rss_kib as f64).sum::<f64>() / after.len() as f64,
    );
    let covariance: f64 =
        after.iter().map(|look| (look.at_s as f64 - mean_at) * (look.rss_kib as f64 - mean_rss)).sum();
    let variance: f64 = after.iter().map(|look| (look.at_s as f64 - mean_at).powi(2)).sum();
    format!(
        "from {} s to {} s: {} to {} KiB resident, most {}, slope {:+.0} KiB an hour; {} to {} threads, most {}; \
         {} to {} descriptors, most {}",
        first.at_s,
        last.at_s,
        first.rss_kib,
        last.rss_kib,
        most(|look| look.rss_kib),
        3600.0 * covariance / variance.max(1.0),
        first.threads,
        last.threads,
        most(|look| look.threads),
        first.descriptors,
        last.descriptors,
        most(|look| look.descriptors as u64),
    )
}

/// The beginning or the end of a fault.
#[derive(Clone, Copy, Debug)]
struct Act {
    at: Duration,
    planned: Planned,
    ends: bool,
    /// When it began, of an end.
    from_ms: i64,
}

impl Act {
    fn happened(&self, to_ms: i64) -> Happened {
        Happened { planned: self.planned, from_ms: self.from_ms, to_ms }
    }
}

/// Beginnings and ends, the next one last.
fn acts(plan: &[Planned]) -> Vec<Act> {
    let both = |planned: &Planned| {
        let act = |at, ends| Act { at, planned: *planned, ends, from_ms: 0 };
        [act(planned.from, false), act(planned.to, true)]
    };
    let mut acts: Vec<_> = plan.iter().flat_map(both).collect();
    acts.sort_by_key(|act| std::cmp::Reverse((act.at, act.ends)));
    acts
}

fn note_begin(acts: &mut [Act], begun: &Act, from_ms: i64) {
    if let Some(end) = acts.iter_mut().find(|act| act.ends && act.planned == begun.planned) {
        end.from_ms = from_ms;
    }
}

/// Returns when it was done, in unix milliseconds.
fn carry_out(act: &Act, rigs: &mut [Rig], start_unix: Duration, start: Instant) -> Result<i64> {
    let rig = &mut rigs[act.planned.stream];
    let sensor = act.planned.sensor;
    match (act.planned.blow, act.ends) {
        (Blow::Killed | Blow::Restarted, false) => rig.server(sensor).pull(),
        (Blow::Killed | Blow::Restarted, true) => rig.server(sensor).plug()?,
        (Blow::Stalled, ends) => *rig.stalled(sensor) = !ends,
        (Blow::Resized, false) => rig.resize(),
        (Blow::Resized, true) => {}
        // Both sensors of all streams are cut by one command.
        (Blow::Cut, ends) if act.planned.stream == 0 && sensor == Sensor::Camera => cut(!ends)?,
        (Blow::Cut, _) => {}
    }
    Ok(i64::try_from((start_unix + start.elapsed()).as_millis())?)
}

/// A queue for no packet at all drops every one. Needs nothing of the kernel but its oldest discipline.
fn cut(cut: bool) -> Result<()> {
    let arguments: &[&str] = if cut {
        &["qdisc", "add", "dev", "lo", "root", "pfifo", "limit", "0"]
    } else {
        &["qdisc", "del", "dev", "lo", "root"]
    };
    let status = Command::new("tc").args(arguments).status().context("run tc (package iproute2)")?;
    ensure!(status.success(), "tc {} failed: {status}", arguments.join(" "));
    Ok(())
}

/// To cut the loopback of the whole machine would hit others.
fn ensure_private_network() -> Result<()> {
    let devices = fs::read_to_string("/proc/net/dev").context("read /proc/net/dev")?;
    let others = devices.lines().skip(2).filter(|line| !line.trim_start().starts_with("lo:")).count();
    if others > 0 {
        bail!(
            "cut the network: expected a network namespace of its own (`unshare --net`), with nothing but lo"
        );
    }
    Ok(())
}

/// A camera and a microphone of one stream.
struct Rig {
    camera: SensorServer,
    microphone: SensorServer,
    stalled: [bool; 2],
    size: usize,
    noise: fastrand::Rng,
}

impl Rig {
    fn listen(servers: &ServerLoop, ports: &mut impl Iterator<Item = u16>) -> Result<Self> {
        Ok(Self {
            camera: SensorServer::listen(servers, Sensor::Camera, ports.next())?,
            microphone: SensorServer::listen(servers, Sensor::Microphone, ports.next())?,
            stalled: [false; 2],
            size: 0,
            noise: fastrand::Rng::with_seed(0),
        })
    }

    fn server(&mut self, sensor: Sensor) -> &mut SensorServer {
        match sensor {
            Sensor::Camera => &mut self.camera,
            Sensor::Microphone => &mut self.microphone,
        }
    }

    fn stalled(&mut self, sensor: Sensor) -> &mut bool {
        &mut self.stalled[usize::from(sensor == Sensor::Microphone)]
    }

    fn resize(&mut self) {
        self.size = (self.size + 1) % SIZES.len();
        let (width, height) = SIZES[self.size];
        self.camera.resize(width, height);
    }

    /// Signal that is alive: a pattern that moves, and noise.
    fn send(&mut self, beat: u64) {
        if beat.is_multiple_of(BEATS_PER_PICTURE) && !self.stalled[0] {
            let (width, height) = SIZES[self.size];
            let step = beat / BEATS_PER_PICTURE;
            let byte = |index: usize| ((index / 3 % width) as u64 + 7 * step) as u8;
            self.camera.send((0..3 * width * height).map(byte).collect());
        }
        if !self.stalled[1] {
            let block: Vec<f32> = (0..RATE_HZ / 50).map(|_| 0.2 * (self.noise.f32() - 0.5)).collect();
            self.microphone.send(clip::sound_bytes(&block));
        }
    }
}

fn configuration(setup: &Setup, rigs: &[Rig]) -> String {
    let transport = if setup.udp { "udp" } else { "tcp" };
    let mut text = format!(
        "node = \"torment\"\n[model]\nbundle = {:?}\n[engine]\ndevice = \"cpu\"\n[publish]\nstdout = true\n",
        setup.bundle.display().to_string()
    );
    for (index, rig) in rigs.iter().enumerate() {
        let sources = [(rig.camera.url(), "video"), (rig.microphone.url(), "audio")];
        text += &format!("[[stream]]\nid = \"s{index}\"\n");
        for (uri, modality) in sources {
            text += &format!(
                "[[stream.source]]\nuri = \"{uri}\"\nprovides = [\"{modality}\"]\ntransport = \"{transport}\"\n"
            );
        }
    }
    text
}

struct Daemon {
    process: Child,
    labels: Receiver<Result<Label>>,
}

impl Daemon {
    fn start(binary: &Path, config: &Path, folder: &Path) -> Result<Self> {
        let log = File::create(folder.join("cmptd.log")).context("write the daemon's log")?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(config).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().with_context(|| format!("start {}", binary.display()))?;
        let stdout = process.stdout.take().context("the daemon has a standard output")?;
        let mut copy = File::create(folder.join("labels.jsonl")).context("write the labels")?;
        let (send, labels) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let label = line.context("read the labels").and_then(|line| {
                    writeln!(copy, "{line}").context("write the labels")?;
                    serde_json::from_str(&line).with_context(|| format!("parse label `{line}`"))
                });
                if send.send(label).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, labels })
    }

    fn look(&mut self, at: Duration) -> Result<Look> {
        if let Some(status) = self.process.try_wait()? {
            bail!("go on: the daemon has ended, {status}");
        }
        let process = PathBuf::from(format!("/proc/{}", self.process.id()));
        let status = fs::read_to_string(process.join("status")).context("read the daemon's status")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let descriptors = fs::read_dir(process.join("fd")).context("count descriptors")?.count();
        Ok(Look { at_s: at.as_secs(), rss_kib: number("VmRSS:"), threads: number("Threads:"), descriptors })
    }

    /// Asks it to stop, and returns its labels.
    fn stop(mut self) -> Result<Vec<Label>> {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status()?;
        ensure!(asked.success(), "the daemon cannot be asked to stop");
        let status = self.process.wait()?;
        ensure!(status.success(), "the daemon did not end in good order: {status}");
        self.labels.iter().collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It still runs only when something has gone wrong.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the calendar is past 1970")
}
