//! RTSP sources against a real server on loopback that is pulled out and plugged in again.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use avdigits::faults::Sensor;
use avdigits::programme::{HEIGHT, WIDTH};
use avdigits::sensor::{SensorServer, ServerLoop};
use cmpt::ingest::{
    Feed, Format, Media, Output, Pace, RtpTransport, Source, SourceError, SourceMessage, SourceSpec,
    StreamClock, open,
};
use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;
use cmpt_core::time::Timestamp;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);
/// A dead server is an error within this.
const DEAD_WITHIN: Duration = Duration::from_secs(8);

/// A server that is fed in real time by a thread of its own.
struct LiveServer {
    url: String,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Pull,
    Plug,
    HangUp,
    Freeze,
    Resize(usize, usize),
}

impl LiveServer {
    fn start(sensor: Sensor) -> Self {
        let (commands, received) = channel();
        let (tell_url, told_url) = channel();
        let thread = thread::spawn(move || {
            let servers = ServerLoop::start().unwrap();
            let server = SensorServer::listen(&servers, sensor, None).unwrap();
            tell_url.send(server.url()).unwrap();
            serve(server, sensor, &received);
        });
        Self { url: told_url.recv().unwrap(), commands: Some(commands), thread: Some(thread) }
    }

    fn tell(&self, command: Command) {
        self.commands.as_ref().unwrap().send(command).unwrap();
    }
}

impl Drop for LiveServer {
    fn drop(&mut self) {
        self.commands = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Sends a part every 50 ms, the pause being the wait for a command.
fn serve(mut server: SensorServer, sensor: Sensor, commands: &Receiver<Command>) {
    let mut frozen = false;
    let mut luma = 50u8;
    let (mut width, mut height) = (WIDTH, HEIGHT);
    loop {
        match commands.recv_timeout(Duration::from_millis(50)) {
            Ok(Command::Pull) => server.pull(),
            Ok(Command::Plug) => server.plug().unwrap(),
            Ok(Command::HangUp) => server.hang_up(),
            Ok(Command::Freeze) => frozen = true,
            Ok(Command::Resize(to_width, to_height)) => {
                (width, height) = (to_width, to_height);
                server.resize(width, height);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if !frozen {
            luma = 50 + (luma - 49) % 150;
        }
        server.send(match sensor {
            Sensor::Camera => {
                (0..3 * width * height).map(|byte| luma.wrapping_add((byte / 150) as u8)).collect()
            }
            Sensor::Microphone => vec![luma; 2 * 800],
        });
    }
}

fn source(url: &str, sensor: Sensor) -> Box<dyn Source> {
    let (name, format) = match sensor {
        Sensor::Camera => ("video", Format::Video { max_edge: 240 }),
        Sensor::Microphone => ("audio", Format::Audio { rate_hz: 16_000 }),
    };
    let outputs = vec![Output { modality: ModalityId(0), name: name.into(), format }];
    open(SourceSpec::new(Media::Uri(url.into()), outputs, Pace::Live)).unwrap()
}

/// The same with another setting.
fn source_with(url: &str, sensor: Sensor, set: impl FnOnce(&mut SourceSpec)) -> Box<dyn Source> {
    let mut spec = source(url, sensor).spec().clone();
    set(&mut spec);
    open(spec).unwrap()
}

async fn next(feed: &mut Feed) -> Option<SourceMessage> {
    tokio::time::timeout(DEADLINE, feed.recv()).await.expect("it happens within the deadline")
}

async fn samples(feed: &mut Feed, count: usize) -> Vec<Sample> {
    let mut samples = Vec::new();
    while samples.len() < count {
        match next(feed).await {
            Some(SourceMessage::Sample { sample, .. }) => samples.push(sample),
            Some(SourceMessage::Started) => {}
            other => panic!("{other:?} after {} samples", samples.len()),
        }
    }
    samples
}

/// Takes samples until the source ends or fails.
async fn is_over(feed: &mut Feed) -> bool {
    while let Some(message) = next(feed).await {
        if let SourceMessage::Ended { .. } | SourceMessage::Failed(_) = message {
            return true;
        }
    }
    false
}

async fn failure(url: &str) -> SourceError {
    let asked = Instant::now();
    let mut feed = source(url, Sensor::Camera).start(&StreamClock::start());
    match next(&mut feed).await {
        Some(SourceMessage::Failed(error)) => {
            assert!(asked.elapsed() < DEAD_WITHIN, "{error} after {:?}", asked.elapsed());
            assert!(feed.stop().await);
            error
        }
        other => panic!("expected a failure, not {other:?}"),
    }
}

/// A sensor is pulled and plugged in again: its source ends, a source started meanwhile fails, and one
/// started later goes on in the same stream time.
async fn pulled_and_plugged_in_again(sensor: Sensor, transport: RtpTransport) {
    let server = LiveServer::start(sensor);
    let source = source_with(&server.url, sensor, |spec| spec.transport = transport);
    let clock = StreamClock::start();

    let mut feed = source.start(&clock);
    let before = samples(&mut feed, 20).await;
    let times: Vec<Timestamp> = before.iter().map(Sample::at).collect();
    assert!(times.is_sorted(), "{times:?}");
    let age = clock.now().saturating_since(times[19]);
    assert!(age < Duration::from_secs(2), "samples come {age:?} after their time");

    let pulled = Instant::now();
    server.tell(Command::Pull);
    assert!(is_over(&mut feed).await);
    assert!(pulled.elapsed() < DEAD_WITHIN, "noticed after {:?}", pulled.elapsed());
    assert!(feed.stop().await, "the source lets go of a dead server");

    let error = failure(&server.url).await;
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");

    let plugged = clock.now();
    server.tell(Command::Plug);
    let mut feed = loop {
        let mut feed = source.start(&clock);
        match next(&mut feed).await {
            Some(SourceMessage::Started) => break feed,
            // Not listening yet.
            Some(SourceMessage::Failed(_)) => assert!(clock.now() < plugged + DEADLINE),
            other => panic!("{other:?}"),
        }
    };
    let after = samples(&mut feed, 20).await;
    assert!(after[0].at() > plugged, "{} lies before {plugged}, when it was plugged in", after[0].at());
    assert!(feed.stop().await);
}

#[tokio::test]
async fn a_camera_that_is_pulled_ends_and_its_successor_goes_on_in_stream_time() {
    pulled_and_plugged_in_again(Sensor::Camera, RtpTransport::Tcp).await;
}

#[tokio::test]
async fn a_microphone_that_is_pulled_ends_and_its_successor_goes_on_in_stream_time() {
    pulled_and_plugged_in_again(Sensor::Microphone, RtpTransport::Tcp).await;
}

#[tokio::test]
async fn over_udp_a_camera_that_is_pulled_ends_and_its_successor_goes_on_in_stream_time() {
    pulled_and_plugged_in_again(Sensor::Camera, RtpTransport::Udp).await;
}

#[tokio::test]
async fn over_udp_a_microphone_that_is_pulled_ends_and_its_successor_goes_on_in_stream_time() {
    pulled_and_plugged_in_again(Sensor::Microphone, RtpTransport::Udp).await;
}

#[tokio::test]
async fn over_udp_a_server_that_hangs_up_and_falls_silent_is_not_waited_for() {
    let server = LiveServer::start(Sensor::Camera);
    let source = source_with(&server.url, Sensor::Camera, |spec| {
        spec.transport = RtpTransport::Udp;
        // What ends the source is not this.
        spec.stall_after = DEADLINE;
    });
    let mut feed = source.start(&StreamClock::start());
    samples(&mut feed, 20).await;
    let hung_up = Instant::now();
    server.tell(Command::HangUp);
    assert!(is_over(&mut feed).await);
    assert!(hung_up.elapsed() < DEAD_WITHIN, "noticed after {:?}", hung_up.elapsed());
    assert!(feed.stop().await);
}

#[tokio::test]
async fn a_camera_without_a_microphone_is_seen_and_says_what_it_lacks() {
    let server = LiveServer::start(Sensor::Camera);
    let source = source_with(&server.url, Sensor::Camera, |spec| {
        let format = Format::Audio { rate_hz: 16_000 };
        spec.outputs.push(Output { modality: ModalityId(1), name: "audio".into(), format });
    });
    let mut feed = source.start(&StreamClock::start());
    let (mut pictures, mut lacks) = (0, None);
    while pictures < 20 || lacks.is_none() {
        match next(&mut feed).await {
            Some(SourceMessage::Sample { modality: ModalityId(0), .. }) => pictures += 1,
            Some(SourceMessage::Lacking { modality, error }) => lacks = Some((modality, error)),
            Some(SourceMessage::Started) => {}
            other => panic!("{other:?}"),
        }
    }
    let (modality, error) = lacks.unwrap();
    assert_eq!(modality, ModalityId(1));
    assert!(matches!(error, SourceError::NoStream { kind: "audio", .. }), "{error:?}");
    assert!(feed.stop().await);
}

#[tokio::test]
async fn a_camera_that_changes_its_size_goes_on_in_the_same_session() {
    let server = LiveServer::start(Sensor::Camera);
    let mut feed = source(&server.url, Sensor::Camera).start(&StreamClock::start());
    samples(&mut feed, 5).await;
    server.tell(Command::Resize(480, 160));
    let resized = async {
        loop {
            if let Some(Sample::Frame(frame)) = samples(&mut feed, 1).await.pop()
                && (frame.width, frame.height) == (480, 160)
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, resized).await.unwrap();
}

#[tokio::test]
async fn a_name_that_nobody_can_look_up_is_an_error() {
    // No name has a part this long, so no server needs to be asked.
    let error = failure(&format!("rtsp://{}.invalid/camera", "a".repeat(64))).await;
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_frozen_camera_looks_frozen_after_encoding() {
    /// Default tolerance of the detector: mean absolute difference of luma in [0, 1].
    const TOLERANCE: f64 = 0.001;
    let server = LiveServer::start(Sensor::Camera);
    let mut feed = source(&server.url, Sensor::Camera).start(&StreamClock::start());
    samples(&mut feed, 5).await;
    server.tell(Command::Freeze);
    // What was on its way, and the encoder's next key frame, after which the picture stands still.
    samples(&mut feed, 30).await;
    let frames: Vec<_> = samples(&mut feed, 40).await;
    let Sample::Frame(first) = &frames[0] else { panic!("a camera sends frames") };
    for frame in &frames {
        let Sample::Frame(frame) = frame else { panic!("a camera sends frames") };
        let difference: u64 = first.rgb.iter().zip(&frame.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = difference as f64 / first.rgb.len() as f64 / 255.0;
        assert!(mean < TOLERANCE, "differs by {mean}");
    }
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_an_error_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = failure(&format!("rtsp://user:secret@127.0.0.1:{port}/camera")).await;
    let message = error.to_string();
    assert!(message.starts_with(&format!("reach rtsp://***@127.0.0.1:{port}/camera: ")), "{message}");
    assert!(message.contains("Failed to connect") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_an_error_within_the_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = failure(&format!("rtsp://127.0.0.1:{port}/camera")).await;
    assert!(matches!(error, SourceError::Unreachable { .. } | SourceError::Stalled { .. }), "{error:?}");
}
