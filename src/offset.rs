//! `cmptd offset`: how far sound and picture of one event lie apart, and what to configure.

use std::io::Write as _;
use std::time::Duration;

use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::sync::SyncMeter;
use futures_util::future::join_all;

use crate::cli::OffsetArgs;
use crate::failure::Failure;
use crate::ingest::{self, Feed, Format, Media, Output, Pace, SourceMessage, SourceSpec, StreamClock};

const AUDIO: ModalityId = ModalityId(0);
const VIDEO: ModalityId = ModalityId(1);
/// High enough for a piece of sound to hold whole samples, low enough to be cheap.
const RATE_HZ: u32 = 16_000;
/// For a mean of luma, small pictures will do.
const EDGE: u32 = 120;

/// Measures the offset of `args` and prints it as JSON.
pub async fn run(args: OffsetArgs) -> Result<(), Failure> {
    let audio = Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: RATE_HZ } };
    let video = Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: EDGE } };
    let media = match args.audio {
        None => vec![(args.media, vec![audio, video])],
        Some(sound) => vec![(args.media, vec![video]), (sound, vec![audio])],
    };
    let clock = StreamClock::start();
    let mut meter = SyncMeter::default();
    let specs = media.into_iter().map(|(uri, outputs)| {
        // What is live keeps its own pace, whatever it is asked for, and both are to be on one clock.
        let pace = if uri.contains("://") && !uri.starts_with("file://") { Pace::Live } else { Pace::Replay };
        let spec = SourceSpec::new(Media::Uri(uri), outputs, pace);
        SourceSpec { credentials_file: args.credentials_file.clone(), ..spec }
    });
    let mut feeds = Vec::new();
    for spec in specs {
        feeds.push(ingest::open(spec)?.start(&clock));
    }
    let limit = Duration::from_secs(args.seconds);
    let measured = join_all(feeds.iter_mut().map(|feed| measure(feed, limit))).await;
    for feed in feeds {
        feed.stop().await;
    }
    for heard_and_seen in measured {
        meter.absorb(heard_and_seen?);
    }
    let offset = meter.offset()?;
    let apart = offset.audio_after_video_ms.round() as i64;
    // Whichever is stamped earlier is moved later: its samples are still in time then.
    let (early, offset_ms) = if apart < 0 { ("audio", -apart) } else { ("video", apart) };
    let report = serde_json::json!({
        "audio_after_video_ms": offset.audio_after_video_ms,
        "spread_ms": offset.spread_ms,
        "pairs": offset.pairs,
        "configure": { "source": early, "offset_ms": offset_ms },
    });
    Ok(writeln!(std::io::stdout(), "{report}")?)
}

/// What one source shows until it ends or `limit` has passed.
async fn measure(feed: &mut Feed, limit: Duration) -> Result<SyncMeter, Failure> {
    let mut meter = SyncMeter::default();
    let end = tokio::time::sleep(limit);
    tokio::pin!(end);
    loop {
        let message = tokio::select! {
            () = &mut end => return Ok(meter),
            message = feed.recv() => message,
        };
        match message {
            Some(SourceMessage::Sample { sample: Sample::Frame(frame), .. }) => meter.handle_frame(&frame),
            Some(SourceMessage::Sample { sample: Sample::Audio(block), .. }) => {
                meter.handle_block(&block, RATE_HZ);
            }
            Some(SourceMessage::Failed(error)) => return Err(error.into()),
            Some(SourceMessage::Started | SourceMessage::Lacking { .. } | SourceMessage::Ended { .. }) => {}
            None => return Ok(meter),
        }
    }
}
