//! Playing a programme as live sensors, with faults by script.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clip;
use crate::faults::{Fault, Script, Sensor};
use crate::programme::{FRAMES, HEIGHT, Second, WIDTH};
use crate::sensor::{SensorError, SensorServer, ServerLoop};
use crate::speech::RATE_HZ;
use crate::truth::{LABELS, Truth};

/// Blocks of sound a second.
const BLOCKS: usize = 50;

/// A camera and a microphone on loopback.
#[derive(Debug)]
pub struct Rig {
    camera: SensorServer,
    microphone: SensorServer,
    /// Last, so that the servers are gone before the thread that runs them.
    _servers: ServerLoop,
}

/// Why a programme could not be played.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A sensor failed by itself.
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// Nobody came.
    #[error("play to both sensors: no client of {missing} within {} s", patience.as_secs())]
    NoClient {
        /// The sensor's address.
        missing: String,
        /// How long was waited.
        patience: Duration,
    },
}

impl Rig {
    /// Both sensors, listening on these ports, or on free ones.
    pub fn listen(camera: Option<u16>, microphone: Option<u16>) -> Result<Self, SensorError> {
        let servers = ServerLoop::start()?;
        let camera = SensorServer::listen(&servers, Sensor::Camera, camera)?;
        let microphone = SensorServer::listen(&servers, Sensor::Microphone, microphone)?;
        Ok(Self { camera, microphone, _servers: servers })
    }

    /// Address of the camera.
    pub fn camera_url(&self) -> String {
        self.camera.url()
    }

    /// Address of the microphone.
    pub fn microphone_url(&self) -> String {
        self.microphone.url()
    }

    /// Waits until both sensors have a client, for `patience` at most, then plays `programme`, each
    /// second of it on a whole second of the wall clock; tells the truth of each as it starts.
    pub fn play(
        mut self,
        programme: &[Second],
        script: &Script,
        patience: Duration,
        mut tell: impl FnMut(&Truth),
    ) -> Result<(), LiveError> {
        let mut ticks = self.wait_for_clients(patience)?;
        let mut shown = Vec::new();
        for (index, second) in programme.iter().enumerate() {
            let number = index as u64;
            let (camera, microphone) =
                (script.fault(Sensor::Camera, number), script.fault(Sensor::Microphone, number));
            ticks.wait();
            set_plugged(&mut self.camera, camera)?;
            set_plugged(&mut self.microphone, microphone)?;
            tell(&Truth {
                second: number,
                start_ms: ticks.unix_ms(),
                label: LABELS[usize::from(second.digit)].into(),
                faults: script.faults(number),
            });
            if camera != Some(Fault::Frozen) || shown.is_empty() {
                shown =
                    if camera == Some(Fault::Black) { vec![0; WIDTH * HEIGHT] } else { second.frame.clone() };
            }
            self.play_second(&mut ticks, &shown, &second.sound, microphone == Some(Fault::Silent));
        }
        // The last block is on its way until its time is over.
        ticks.wait();
        Ok(())
    }

    fn play_second(&self, ticks: &mut Ticks, frame: &[u8], sound: &[f32], silent: bool) {
        let samples = RATE_HZ / BLOCKS;
        for (block, samples) in sound.chunks(samples).enumerate() {
            if block > 0 {
                ticks.wait();
            }
            if block % (BLOCKS / FRAMES) == 0 {
                self.camera.send(clip::frame_bytes(frame));
            }
            let samples = if silent { &vec![0.0; samples.len()] } else { samples };
            self.microphone.send(clip::sound_bytes(samples));
        }
    }

    /// Sends signal that is alive and means nothing until somebody watches. Returns the ticks from the
    /// next whole second on.
    fn wait_for_clients(&self, patience: Duration) -> Result<Ticks, LiveError> {
        let mut idle = Ticks::now();
        let mut rng = fastrand::Rng::with_seed(0);
        let mut noise = || (0..RATE_HZ).map(|_| 0.02 * (rng.f32() - 0.5)).collect::<Vec<_>>();
        let mut start: Option<Ticks> = None;
        for count in 0.. {
            if start
                .as_ref()
                .is_some_and(|start| start.next - idle.next < Duration::from_secs(1) / BLOCKS as u32)
            {
                break;
            }
            idle.wait();
            let luma = 64 + u8::try_from(count % 64).unwrap_or_default();
            if count % (BLOCKS / FRAMES) == 0 {
                self.camera.send(vec![luma; 3 * WIDTH * HEIGHT]);
            }
            self.microphone.send(clip::sound_bytes(&noise()[..RATE_HZ / BLOCKS]));
            let unwatched = [&self.camera, &self.microphone].into_iter().find(|sensor| !sensor.is_watched());
            match unwatched {
                None => drop(start.get_or_insert_with(Ticks::next_second)),
                Some(missing) if idle.start.elapsed() > patience => {
                    return Err(LiveError::NoClient { missing: missing.url(), patience });
                }
                Some(_) => {}
            }
        }
        Ok(start.expect("the loop ends once there is a start"))
    }
}

fn set_plugged(sensor: &mut SensorServer, fault: Option<Fault>) -> Result<(), SensorError> {
    match fault {
        Some(Fault::Pulled) => {
            sensor.pull();
            Ok(())
        }
        _ => sensor.plug(),
    }
}

/// The beats at which blocks are sent: fixed on the monotonic clock, so that lateness does not add up.
#[derive(Debug)]
struct Ticks {
    start: Instant,
    start_unix: Duration,
    next: Instant,
    count: u32,
}

impl Ticks {
    fn now() -> Self {
        let start_unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("the calendar is past 1970");
        let start = Instant::now();
        Self { start, start_unix, next: start, count: 0 }
    }

    /// From the next whole second of the wall clock but one half on, so that there is time to get ready.
    fn next_second() -> Self {
        let now = Self::now();
        let whole = Duration::from_secs((now.start_unix + Duration::from_millis(500)).as_secs() + 1);
        let start = now.start + (whole - now.start_unix);
        Self { start, start_unix: whole, next: start, count: 0 }
    }

    /// Waits for the next beat. A real sleep, because a live sensor is in real time by definition.
    fn wait(&mut self) {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.count += 1;
        self.next = self.start + self.count * (Duration::from_secs(1) / BLOCKS as u32);
    }

    /// Unix milliseconds of the beat last waited for.
    fn unix_ms(&self) -> i64 {
        let beat = self.start_unix + self.count.saturating_sub(1) * (Duration::from_secs(1) / BLOCKS as u32);
        i64::try_from(beat.as_millis()).unwrap_or(i64::MAX)
    }
}
