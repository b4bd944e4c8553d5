//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::ingest::DropSpec;

/// Labels from live sensors, through dropouts.
#[derive(Debug, Parser)]
#[command(name = "cmptd", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Label the configured streams until a signal ends it.
    Run {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration and its bundle, and report everything that is wrong.
    Check {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Label recorded media as a stream would be, one JSON object a line.
    Replay(ReplayArgs),
    /// Measure latency per stage and throughput, as JSON.
    Bench(BenchArgs),
    /// Show what each sensor measures against its thresholds, and propose others: a table on a terminal,
    /// else one JSON object a line. Run it while nothing is wrong.
    Sensors(SensorsArgs),
    /// Measure the offset between sound and picture on flashes with beeps, or claps, and say what to
    /// configure, as JSON.
    Offset(OffsetArgs),
    /// Look at a model bundle.
    #[command(subcommand)]
    Bundle(BundleCommand),
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Configuration file: its model, thresholds and gate are used.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The stream to replay; may be left out if there is only one.
    #[arg(long, value_name = "ID")]
    pub stream: Option<String>,
    /// Take a sensor away between two seconds of stream time; REASON is no_buffers, black, frozen or
    /// silent.
    #[arg(long = "drop", value_name = "MODALITY@FROM..TO[:REASON]")]
    pub drops: Vec<DropSpec>,
    /// At the pace of the media, through the live path.
    #[arg(long)]
    pub realtime: bool,
    /// One file with all modalities, or one file for each source of the stream, in their order.
    #[arg(required = true, value_name = "MEDIA")]
    pub media: Vec<String>,
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    pub bundle: PathBuf,
    /// auto, cuda, cpu or tract.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// The ONNX Runtime library.
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Threads inside one operator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Windows to measure, per path.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub windows: u32,
    /// In place of that, measure what it costs to watch this file live: decoding, detection, features.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["device", "library", "threads", "windows"])]
    pub media: Option<String>,
    /// How much of it, each of nine times.
    #[arg(long = "for", value_name = "TIME", value_parser = span, default_value = "10s", requires = "media")]
    pub span: Duration,
}

/// Arguments of `sensors`.
#[derive(Debug, clap::Args)]
pub struct SensorsArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which stream; needed if there are several.
    #[arg(long, value_name = "ID")]
    pub stream: Option<String>,
    /// How long to watch, such as 60s, 5m or 1h [default: 60s, or all of MEDIA].
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub span: Option<Duration>,
    /// Recorded media to watch in place of the stream's sources, as fast as possible: one file with all
    /// modalities, or one file for each source, in their order.
    #[arg(value_name = "MEDIA")]
    pub media: Vec<String>,
}

/// Longest time that is believed.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// Parses a time such as `60s`.
fn span(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(seconds)
        .and_then(|(number, seconds)| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .filter(|span| !span.is_zero() && *span <= LONGEST)
        .ok_or_else(|| "expected a time of 1s to 12h, such as 60s, 5m or 1h".to_owned())
}

/// Arguments of `offset`.
#[derive(Debug, clap::Args)]
pub struct OffsetArgs {
    /// File or address with the pictures, and with the sound unless that is given apart.
    #[arg(value_name = "MEDIA")]
    pub media: String,
    /// File or address of the sound.
    #[arg(value_name = "AUDIO")]
    pub audio: Option<String>,
    /// How long to watch what is live, and to read what is not, at most.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// File with USER:PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<std::path::PathBuf>,
}

/// What to do with a bundle.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Check every file and value.
    Verify {
        /// Folder of the bundle.
        dir: PathBuf,
    },
    /// Print what it is, as JSON.
    Info {
        /// Folder of the bundle.
        dir: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("12h", 43_200)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "60", "0s", "-1s", "1.5s", "13h", "60 s", "99999999999999999999h", "1d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
