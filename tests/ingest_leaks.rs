//! Nothing is left of a source that was stopped, however it ended. A program of its own, because it
//! counts everything that GStreamer holds in a process.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use avdigits::clip::{self, Quality, Tracks};
use avdigits::faults::Sensor;
use avdigits::programme::{HEIGHT, Second, WIDTH};
use avdigits::sensor::{SensorServer, ServerLoop};
use cmpt::ingest::{Format, Media, Output, Pace, SourceMessage, SourceSpec, StreamClock, open};
use cmpt_core::modality::ModalityId;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(60);
/// What has not changed for this long is settled.
const SETTLED: Duration = Duration::from_millis(300);

/// GStreamer's own tracer of leaks, which knows of every object made after it.
struct Tracer {
    leaks: glib::Object,
    logged: Arc<Mutex<Vec<String>>>,
}

impl Tracer {
    fn start() -> Self {
        gst::init().unwrap();
        let factories = gst::TracerFactory::factories();
        let leaks = factories.iter().find(|factory| factory.name() == "leaks").unwrap().clone();
        let leaks = leaks.load().unwrap().downcast::<gst::TracerFactory>().unwrap();
        let logged = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&logged);
        gst::log::remove_default_log_function();
        gst::log::set_threshold_for_name("GST_TRACER", gst::DebugLevel::Trace);
        gst::log::add_log_function(move |_, _, _, _, _, _, message| {
            lines.lock().unwrap().extend(message.get().map(|line| line.to_string()));
        });
        Self { leaks: glib::Object::builder_with_type(leaks.tracer_type()).build(), logged }
    }

    /// Types of the elements, pads, buses and other objects that are alive, in order. Buffers and events
    /// are not among them: their number is bounded by pools, and changes.
    fn alive(&self) -> Vec<String> {
        self.logged.lock().unwrap().clear();
        self.leaks.emit_by_name::<()>("log-live-objects", &[]);
        let lines = std::mem::take(&mut *self.logged.lock().unwrap());
        let alive = lines.iter().filter(|line| line.starts_with("object-alive"));
        let name = |line: &String| {
            let (_, rest) = line.split_once("type-name=(string)")?;
            let name = rest.split([',', ';']).next()?;
            let is_object = glib::Type::from_name(name)?.is_a(gst::Object::static_type());
            is_object.then(|| name.to_owned())
        };
        let mut types: Vec<_> = alive.filter_map(name).collect();
        types.sort_unstable();
        types
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holdings {
    objects: Vec<String>,
    descriptors: usize,
    threads: usize,
}

impl Holdings {
    fn of(tracer: &Tracer) -> Self {
        let count = |folder: &str| fs::read_dir(folder).unwrap().count();
        Self {
            objects: tracer.alive(),
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }

    /// Once nothing changes any more: servers and pools of threads take their time.
    fn settled(tracer: &Tracer) -> Self {
        let deadline = Instant::now() + DEADLINE;
        let (mut last, mut since) = (Self::of(tracer), Instant::now());
        while since.elapsed() < SETTLED {
            assert!(Instant::now() < deadline, "it settles: {last:?}");
            thread::sleep(SETTLED / 10);
            let now = Self::of(tracer);
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }
}

/// A camera that is fed by a thread of its own.
struct Camera {
    url: String,
    pulled: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Camera {
    fn start() -> (Self, thread::JoinHandle<()>) {
        let (tell, told) = std::sync::mpsc::channel();
        let (pulled, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (pull, end) = (Arc::clone(&pulled), Arc::clone(&over));
        let feeding = thread::spawn(move || {
            let servers = ServerLoop::start().unwrap();
            let mut server = SensorServer::listen(&servers, Sensor::Camera, None).unwrap();
            tell.send(server.url()).unwrap();
            while !end.load(Ordering::Relaxed) {
                match pull.load(Ordering::Relaxed) {
                    true => server.pull(),
                    false => server.plug().unwrap(),
                }
                server.send(vec![100; 3 * WIDTH * HEIGHT]);
                thread::sleep(Duration::from_millis(50));
            }
        });
        (Self { url: told.recv().unwrap(), pulled, over }, feeding)
    }

    fn pull(&self, pulled: bool) {
        self.pulled.store(pulled, Ordering::Relaxed);
    }
}

/// Plays `media` until it has delivered `samples`; `after` that, until it ends if it is to.
async fn play(media: &Media, samples: usize, after: impl FnOnce() -> bool) {
    let outputs = vec![
        Output { modality: ModalityId(0), name: "audio".into(), format: Format::Audio { rate_hz: 16_000 } },
        Output { modality: ModalityId(1), name: "video".into(), format: Format::Video { max_edge: 240 } },
    ];
    let mut feed =
        open(SourceSpec::new(media.clone(), outputs, Pace::Live)).unwrap().start(&StreamClock::start());
    let mut seen = 0;
    let mut after = Some(after);
    while let Some(message) = tokio::time::timeout(DEADLINE, feed.recv()).await.unwrap() {
        seen += usize::from(matches!(message, SourceMessage::Sample { .. }));
        if seen >= samples && after.take().is_some_and(|after| !after()) {
            break;
        }
    }
    assert!(feed.stop().await);
}

#[tokio::test]
async fn no_object_thread_or_descriptor_outlives_a_source_however_it_ended() {
    let tracer = Tracer::start();
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mkv");
    clip::write(&clip, &[Second::made_up(1)], Quality::Camera, Tracks::Both).unwrap();
    let (camera, feeding) = Camera::start();
    let file = Media::Uri(clip.to_str().unwrap().into());
    let rtsp = Media::Uri(camera.url.clone());
    let broken = Media::Pipeline(
        "audiotestsrc is-live=true ! identity name=audio \
         videotestsrc is-live=true ! identity error-after=3 name=video"
            .into(),
    );
    let unusable = Media::Pipeline("audiotestsrc ! identity name=audio".into());
    let round = async || {
        // Stopped by us, with a track that lacks.
        play(&rtsp, 5, || {
            assert!(tracer.alive().iter().any(|alive| alive == "GstPipeline"), "what plays is counted");
            false
        })
        .await;
        // Killed.
        play(&rtsp, 5, || {
            camera.pull(true);
            true
        })
        .await;
        // Refused.
        play(&rtsp, usize::MAX, || true).await;
        camera.pull(false);
        play(&file, usize::MAX, || true).await;
        play(&broken, usize::MAX, || true).await;
        play(&unusable, usize::MAX, || true).await;
    };
    // What is made once, such as the clock, is made by now.
    round().await;
    round().await;
    let before = Holdings::settled(&tracer);
    for _ in 0..4 {
        round().await;
    }
    let after = Holdings::settled(&tracer);
    assert_eq!(after.objects, before.objects);
    assert!(after.descriptors <= before.descriptors, "{after:?} after {before:?}");
    // A pool may keep a thread or two for the next.
    assert!(after.threads <= before.threads + 2, "{} threads after {}", after.threads, before.threads);
    camera.over.store(true, Ordering::Relaxed);
    feeding.join().unwrap();
}
