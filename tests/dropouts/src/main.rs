//! `dropouts`: makes clips with exact truth, runs detectors over them, keeps the score.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use dropouts::clip::{Clip, Half};
use dropouts::lines::{self, Alarm, Lines, Truth, truth_of};
use dropouts::score::{Score, score};
use dropouts::suite::{self, Answers, Reals};
use dropouts::table::tables;
use serde::{Deserialize, Serialize};

/// A labelled benchmark of dropout detection.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write clips as Matroska files, their truth as truth.jsonl, and clips.jsonl for `detect`. About
    /// 50 MB a clip of pictures that are not coded.
    Generate(Choice),
    /// Judge the clips that `generate` wrote, by our detector or by ffmpeg's filters; answers on a file of
    /// JSON lines, as any other detector may write them.
    Detect {
        /// The folder of clips.
        folder: PathBuf,
        /// By ffmpeg's freezedetect, blackdetect and silencedetect.
        #[arg(long)]
        ffmpeg: bool,
        /// The answers.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Compare answers with the truth; tables on stdout.
    Score {
        /// The truth.
        #[arg(long, value_name = "FILE")]
        truth: PathBuf,
        /// Answers of a detector, as NAME=FILE.
        #[arg(required = true, value_name = "NAME=FILE")]
        answers: Vec<String>,
        /// The scores as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Make and judge clip by clip: only those that are coded go through a file.
    Run {
        #[command(flatten)]
        choice: Choice,
        /// Ask ffmpeg's filters too.
        #[arg(long)]
        ffmpeg: bool,
    },
}

#[derive(Args, Debug)]
struct Choice {
    /// Seeds, as FROM..TO; one clip of two minutes each.
    #[arg(long, value_name = "FROM..TO", value_parser = seeds)]
    seeds: Range<u64>,
    /// Only those of one half.
    #[arg(long, value_enum)]
    half: Option<HalfArg>,
    /// A clip of your own to make material of; may be given again.
    #[arg(long = "clip", value_name = "FILE")]
    clips: Vec<PathBuf>,
    /// The folder to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HalfArg {
    /// Even seeds.
    Tuning,
    /// Odd seeds.
    Report,
}

/// A line of clips.jsonl: what it takes to play a clip's delivery.
#[derive(Serialize, Deserialize)]
struct Played {
    clip: String,
    seed: u64,
    /// The user's clips that the seeds were planned with: those with pictures, those with sound.
    reals: [Vec<PathBuf>; 2],
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Generate(choice) => generate(&choice),
        Command::Detect { folder, ffmpeg, out } => detect(&folder, ffmpeg, &out),
        Command::Score { truth, answers, json } => {
            let named = answers.iter().map(|answer| {
                let named = answer.split_once('=');
                let (name, path) = named.with_context(|| format!("read `{answer}`: expected NAME=FILE"))?;
                Ok((name, lines::read::<Alarm>(Path::new(path))?))
            });
            let named: Vec<_> = named.collect::<Result<_>>()?;
            report(&lines::read(&truth)?, &named, json.as_deref())
        }
        Command::Run { choice, ffmpeg } => run(&choice, ffmpeg),
    }
}

fn generate(choice: &Choice) -> Result<()> {
    fs::create_dir_all(&choice.out)?;
    let (reals, paths) = Reals::read(&choice.clips)?;
    let mut truth = Lines::create(&choice.out.join("truth.jsonl"))?;
    let mut played = Lines::create(&choice.out.join("clips.jsonl"))?;
    for clip in choice.plan(&paths) {
        suite::write(&clip, &reals, &choice.out)?;
        truth.write(&truth_of(&clip))?;
        played.write(&[Played { clip: clip.name, seed: clip.seed, reals: paths.clone() }])?;
    }
    Ok(())
}

fn detect(folder: &Path, ffmpeg: bool, out: &Path) -> Result<()> {
    let mut answers = Lines::create(out)?;
    for Played { seed, reals, .. } in lines::read::<Played>(&folder.join("clips.jsonl"))? {
        let clip = Clip::plan(seed, [&reals[0], &reals[1]]);
        let Answers { ours, ffmpeg: theirs } = suite::judge_file(&clip, &suite::file(folder, &clip), ffmpeg)?;
        answers.write(if ffmpeg { &theirs } else { &ours })?;
    }
    Ok(())
}

fn run(choice: &Choice, ffmpeg: bool) -> Result<()> {
    fs::create_dir_all(&choice.out)?;
    let (reals, paths) = Reals::read(&choice.clips)?;
    let (mut truth, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let plan: Vec<_> = choice.plan(&paths).collect();
    for (index, clip) in plan.iter().enumerate() {
        if index % 20 == 0 {
            eprintln!("{index} of {} clips", plan.len());
        }
        let answers = suite::judge(clip, &reals, &choice.out, ffmpeg)
            .with_context(|| format!("judge clip {}", clip.name))?;
        truth.extend(truth_of(clip));
        ours.extend(answers.ours);
        theirs.extend(answers.ffmpeg);
    }
    let write = |name: &str| Lines::create(&choice.out.join(name));
    write("truth.jsonl")?.write(&truth)?;
    write("ours.jsonl")?.write(&ours)?;
    let mut answers = vec![("ours", ours)];
    if ffmpeg {
        write("ffmpeg.jsonl")?.write(&theirs)?;
        answers.push(("ffmpeg", theirs));
    }
    report(&truth, &answers, Some(&choice.out.join("score.json")))
}

/// Prints the tables, and writes the scores.
fn report(truth: &[Truth], answers: &[(&str, Vec<Alarm>)], json: Option<&Path>) -> Result<()> {
    ensure!(!truth.is_empty(), "the truth is empty");
    let scores: Vec<(&str, Score)> =
        answers.iter().map(|(name, alarms)| (*name, score(truth, alarms))).collect();
    print!("{}", tables(&scores));
    if let Some(path) = json {
        let scores: serde_json::Map<_, _> = scores
            .iter()
            .map(|(name, score)| Ok(((*name).to_owned(), serde_json::to_value(score)?)))
            .collect::<Result<_>>()?;
        fs::write(path, serde_json::to_string_pretty(&scores)?)
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

impl Choice {
    fn plan(&self, reals: &[Vec<PathBuf>; 2]) -> impl Iterator<Item = Clip> {
        let half = self.half.map(|half| match half {
            HalfArg::Tuning => Half::Tuning,
            HalfArg::Report => Half::Report,
        });
        let chosen = self.seeds.clone().filter(move |seed| half.is_none_or(|half| Half::of(*seed) == half));
        chosen.map(move |seed| Clip::plan(seed, [&reals[0], &reals[1]]))
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.filter(|range| range.start < range.end).ok_or_else(|| "expected FROM..TO, FROM before TO".into())
}
