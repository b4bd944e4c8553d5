//! The live rig, seen by clients of its own: digits on whole seconds, faults when the script says so.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use avdigits::faults::Sensor;
use avdigits::live::{LiveError, Rig};
use avdigits::programme::{HEIGHT, Second, WIDTH};
use avdigits::sensor::{SensorServer, ServerLoop};
use avdigits::speech::RATE_HZ;
use avdigits::truth::Truth;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

/// What a part looked or sounded like when it arrived.
#[derive(Clone, Copy, Debug)]
struct Seen {
    unix_ms: i64,
    /// Mean luma, or largest absolute sample.
    level: f64,
}

/// Receives from `url` until the server is gone.
fn receive(url: &str, tail: &str, level: fn(&[u8]) -> f64) -> Receiver<Seen> {
    gst::init().unwrap();
    let text =
        format!("rtspsrc location={url} protocols=tcp latency=0 ! {tail} ! appsink name=sink sync=false");
    let pipeline: gst::Pipeline = gst::parse::launch(&text).unwrap().downcast().unwrap();
    let sink: AppSink = pipeline.by_name("sink").and_downcast().unwrap();
    let (seen, receiver) = channel();
    thread::spawn(move || {
        pipeline.set_state(gst::State::Playing).unwrap();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(3)) {
            let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
            let level = level(&sample.buffer().unwrap().map_readable().unwrap());
            if seen.send(Seen { unix_ms, level }).is_err() {
                break;
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
    });
    receiver
}

fn mean_luma(frame: &[u8]) -> f64 {
    frame.iter().map(|luma| f64::from(*luma)).sum::<f64>() / frame.len() as f64
}

fn peak(samples: &[u8]) -> f64 {
    let samples = samples.as_chunks::<2>().0.iter();
    f64::from(samples.map(|sample| i16::from_le_bytes(*sample).unsigned_abs()).max().unwrap())
}

/// Five seconds of luma 40, 80, ... and of a constant level 0.1, 0.2, ...
fn programme() -> Vec<Second> {
    let second = |digit: u8| Second {
        digit,
        frame: vec![40 * (digit + 1); WIDTH * HEIGHT],
        sound: vec![0.1 * f32::from(digit + 1); RATE_HZ],
    };
    (0..5).map(second).collect()
}

#[test]
fn digits_start_on_whole_seconds_and_faults_happen_as_scripted() {
    let rig = Rig::listen(None, None).unwrap();
    let pictures = "rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=RGB";
    let sound = "rtpL16depay ! audioconvert ! audio/x-raw,format=S16LE";
    let camera = receive(&rig.camera_url(), pictures, mean_luma);
    let microphone = receive(&rig.microphone_url(), sound, peak);
    let script = "microphone silent 1..2, camera frozen 2..3, camera pulled 4..5".parse().unwrap();
    let mut truth: Vec<Truth> = Vec::new();
    rig.play(&programme(), &script, Duration::from_secs(20), |second| truth.push(second.clone())).unwrap();

    let starts: Vec<_> = truth.iter().map(|second| second.start_ms).collect();
    assert!(starts.iter().all(|start_ms| start_ms % 1000 == 0), "{starts:?}");
    assert!(starts.is_sorted_by_key(|start_ms| *start_ms) && starts[4] - starts[0] == 4000, "{starts:?}");

    // Half a second into each, what is seen is what is shown then, however late a busy machine is.
    let (camera, microphone): (Vec<_>, Vec<_>) = (camera.iter().collect(), microphone.iter().collect());
    let middle = |seen: &[Seen], second: usize| {
        let within = |seen: &&Seen| (400..900).contains(&(seen.unix_ms - starts[second]));
        seen.iter().filter(within).map(|seen| seen.level).collect::<Vec<_>>()
    };
    for (second, luma) in [(0, 40.0), (1, 80.0), (2, 80.0), (3, 160.0)] {
        let levels = middle(&camera, second);
        assert!(levels.len() >= 3, "{} frames in second {second}", levels.len());
        assert!(levels.iter().all(|level| (level - luma).abs() < 8.0), "second {second}: {levels:?}");
    }
    assert_eq!(middle(&camera, 4), [0.0; 0]);
    for (second, level) in [(0, 0.1), (1, 0.0), (2, 0.3), (3, 0.4), (4, 0.5)] {
        let levels = middle(&microphone, second);
        assert!(levels.len() >= 10, "{} blocks in second {second}", levels.len());
        assert!(
            levels.iter().all(|peak| (peak - 32_768.0 * level).abs() < 2.0),
            "second {second}: {levels:?}"
        );
    }
}

/// Sent to so often that some part falls into every moment of the server's start, and is not driven out of
/// its queue by the next ones.
#[test]
fn every_client_hears_a_microphone_that_speaks_while_its_pipeline_starts() {
    const CLIENTS: usize = 20;
    let servers = ServerLoop::start().unwrap();
    let server = SensorServer::listen(&servers, Sensor::Microphone, None).unwrap();
    let over = AtomicBool::new(false);
    let heard = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                server.send(vec![1; 640]);
                thread::sleep(Duration::from_micros(200));
            }
        });
        let hears = |_: &usize| {
            let client = receive(&server.url(), "rtpL16depay ! audio/x-raw,format=S16BE", peak);
            client.recv_timeout(Duration::from_secs(5)).is_ok()
        };
        let heard = (0..CLIENTS).filter(hears).count();
        over.store(true, Ordering::Relaxed);
        heard
    });
    assert_eq!(heard, CLIENTS);
}

#[test]
fn a_rig_that_nobody_watches_gives_up() {
    let rig = Rig::listen(None, None).unwrap();
    let played = rig.play(&programme(), &Default::default(), Duration::from_millis(200), |_| ());
    assert!(matches!(played, Err(LiveError::NoClient { .. })), "{played:?}");
}

#[test]
fn a_port_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Rig::listen(Some(port), None).unwrap_err().to_string();
    assert!(error.starts_with(&format!("listen on 127.0.0.1:{port}: ")), "{error}");
}
