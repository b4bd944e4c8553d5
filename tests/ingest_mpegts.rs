//! MPEG transport streams, whose list of tracks may change at any time.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use cmpt::ingest::{Feed, Format, Media, Output, Pace, SourceMessage, SourceSpec, StreamClock, open};
use cmpt_core::modality::ModalityId;
use gstreamer::prelude::*;

const AUDIO: ModalityId = ModalityId(0);
const VIDEO: ModalityId = ModalityId(1);
/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(60);
const PACKET: usize = 188;
const VIDEO_PID: u16 = 65;
const AUDIO_PID: u16 = 66;
const PMT_PID: u16 = 32;

/// Four seconds of pictures and sound.
fn write(path: &Path) {
    gstreamer::init().unwrap();
    let text = format!(
        "mpegtsmux name=mux prog-map=\"program_map,sink_{VIDEO_PID}=1,sink_{AUDIO_PID}=1\" ! filesink location={} \
         videotestsrc num-buffers=80 ! video/x-raw,width=64,height=48,framerate=20/1 ! x264enc key-int-max=10 \
         speed-preset=ultrafast tune=zerolatency ! h264parse ! mux.sink_{VIDEO_PID} \
         audiotestsrc num-buffers=400 samplesperbuffer=441 ! audio/x-raw,rate=44100 ! avenc_aac ! aacparse \
         ! mux.sink_{AUDIO_PID}",
        path.display()
    );
    let pipeline = gstreamer::parse::launch(&text).unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let ended = bus.timed_pop_filtered(
        gstreamer::ClockTime::from_seconds(60),
        &[gstreamer::MessageType::Eos, gstreamer::MessageType::Error],
    );
    assert_eq!(ended.unwrap().type_(), gstreamer::MessageType::Eos);
    pipeline.set_state(gstreamer::State::Null).unwrap();
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// Which part of a stream has sound.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    First,
    Second,
}

/// Takes the sound out of one half, and out of the list of tracks there.
fn with_sound_in(half: Half, stream: &[u8]) -> Vec<u8> {
    let packets: Vec<&[u8]> = stream.chunks_exact(PACKET).collect();
    let middle = packets.len() / 2;
    let mut kept = Vec::new();
    let mut lists = [0, 0];
    for (number, packet) in packets.into_iter().enumerate() {
        let in_half = if number < middle { Half::First } else { Half::Second };
        match pid(packet) {
            AUDIO_PID if in_half != half => {}
            PMT_PID => {
                lists[in_half as usize] += 1;
                kept.extend(with_list(packet, in_half as u8, in_half == half));
            }
            _ => kept.extend_from_slice(packet),
        }
    }
    assert!(lists.iter().all(|count| *count >= 2), "{lists:?} lists of tracks");
    kept
}

/// The packet with another version of its list of tracks, with or without sound. Source: ISO/IEC 13818-1, 2.4.4.8.
fn with_list(packet: &[u8], version: u8, sound: bool) -> Vec<u8> {
    // The header, an adaptation field of stuffing perhaps, and a pointer to the section right behind it.
    let payload = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    let (head, section) = packet.split_at(payload + 1);
    assert_eq!((packet[1] & 0x40, head[payload], section[0]), (0x40, 0, 2));
    let length = |at: usize| (usize::from(section[at] & 0x0f) << 8) + usize::from(section[at + 1]);
    let end = 3 + length(1) - 4;
    let streams = 12 + length(10);
    let mut made = section[..streams].to_vec();
    let mut at = streams;
    while at < end {
        let next = at + 5 + length(at + 3);
        let stream_pid = u16::from_be_bytes([section[at + 1] & 0x1f, section[at + 2]]);
        if sound || stream_pid != AUDIO_PID {
            made.extend_from_slice(&section[at..next]);
        }
        at = next;
    }
    made[5] = (made[5] & !0x3e) | version << 1;
    let total = made.len() + 4 - 3;
    made[1] = (made[1] & 0xf0) | (total >> 8) as u8;
    made[2] = total as u8;
    made.extend(crc(&made).to_be_bytes());
    let mut whole = [head, &made].concat();
    whole.resize(PACKET, 0xff);
    whole
}

/// CRC-32/MPEG-2.
fn crc(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc >> 31 == 1 { (crc << 1) ^ 0x04c1_1db7 } else { crc << 1 };
    bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ (u32::from(*byte) << 24), shift))
}

async fn next(feed: &mut Feed) -> Option<SourceMessage> {
    tokio::time::timeout(DEADLINE, feed.recv()).await.expect("it happens within the deadline")
}

/// What a stream with sound in one half gives, played as if it were live: the times of its samples in
/// milliseconds, and whatever else it tells.
async fn played(half: Half) -> ([Vec<i64>; 2], Vec<SourceMessage>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.ts");
    write(&path);
    fs::write(&path, with_sound_in(half, &fs::read(&path).unwrap())).unwrap();
    let outputs = vec![
        Output { modality: AUDIO, name: "audio".into(), format: Format::Audio { rate_hz: 16_000 } },
        Output { modality: VIDEO, name: "video".into(), format: Format::Video { max_edge: 240 } },
    ];
    let media = Media::Uri(path.to_str().unwrap().into());
    let mut feed = open(SourceSpec::new(media, outputs, Pace::Live)).unwrap().start(&StreamClock::start());
    let (mut times, mut told) = ([Vec::new(), Vec::new()], Vec::new());
    while let Some(message) = next(&mut feed).await {
        match message {
            SourceMessage::Sample { modality, sample } => {
                times[modality.0].push(sample.at().as_millis());
            }
            other => told.push(other),
        }
    }
    assert!(feed.stop().await);
    (times, told)
}

/// The longest time between two samples.
fn longest_gap(times: &[i64]) -> i64 {
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

#[tokio::test]
async fn a_track_that_a_stream_announces_late_is_taken_then_and_the_other_goes_on() {
    let ([sounds, pictures], told) = played(Half::Second).await;
    let lacking =
        |message: &&SourceMessage| matches!(message, SourceMessage::Lacking { modality: AUDIO, .. });
    assert_eq!(told.iter().filter(lacking).count(), 1, "{told:?}");
    assert!(!told.iter().any(|message| matches!(message, SourceMessage::Failed(_))), "{told:?}");
    let began = sounds[0] - pictures[0];
    assert!((1500..=2500).contains(&began), "sound after {began} ms");
    assert!((began + 1500..=4100).contains(&(sounds[sounds.len() - 1] - pictures[0])), "{sounds:?}");
    // The decoder of pictures is a new one, and begins with a whole picture, of which there are two a second.
    assert!(longest_gap(&pictures) <= 600, "{pictures:?}");
    assert!(pictures[pictures.len() - 1] - pictures[0] >= 3500, "{pictures:?}");
}

#[tokio::test]
async fn a_track_that_a_stream_drops_leaves_the_other_alone() {
    let ([sounds, pictures], told) = played(Half::First).await;
    let lasted = sounds[sounds.len() - 1] - sounds[0];
    assert!((1500..=2500).contains(&lasted), "sound for {lasted} ms");
    assert!(longest_gap(&pictures) <= 600, "{pictures:?}");
    assert!(pictures[pictures.len() - 1] - pictures[0] >= 3500, "{pictures:?} {told:?}");
}
