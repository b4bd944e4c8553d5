//! One live sensor: an RTSP server on loopback that can be pulled out and plugged in again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_app::AppSrc;
use gstreamer_rtsp_server as rtsp;
use gstreamer_rtsp_server::prelude::*;

use crate::clip;
use crate::faults::Sensor;
use crate::programme::FRAMES;

/// A server that is gone has let go of its port within this.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);

/// Runs the servers of any number of sensors on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct ServerLoop {
    context: glib::MainContext,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

/// A sensor's server.
#[derive(Debug)]
pub struct SensorServer {
    sensor: Sensor,
    context: glib::MainContext,
    port: u16,
    /// Who may come in; `None` is everybody.
    guard: Option<rtsp::RTSPAuth>,
    plugged: Option<Plugged>,
    outlet: Arc<Outlet>,
}

/// Why a sensor cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// GStreamer is not usable.
    #[error("start GStreamer: {0}")]
    GStreamer(#[from] glib::Error),
    /// The port cannot be had.
    #[error("listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port; 0 is any.
        port: u16,
        /// Why.
        source: glib::BoolError,
    },
}

impl ServerLoop {
    /// Starts the thread.
    pub fn start() -> Result<Self, SensorError> {
        gst::init()?;
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let running = main_loop.clone();
        let thread = thread::spawn(move || running.run());
        Ok(Self { context, main_loop, thread: Some(thread) })
    }
}

impl Drop for ServerLoop {
    fn drop(&mut self) {
        // From inside the loop, because to quit before the thread runs it would be forgotten.
        let main_loop = self.main_loop.clone();
        let quit = glib::idle_source_new(None, glib::Priority::DEFAULT, move || {
            main_loop.quit();
            glib::ControlFlow::Break
        });
        quit.attach(Some(&self.context));
        if let Some(thread) = self.thread.take() {
            // A panic on that thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl SensorServer {
    /// A plugged-in sensor on `port` of 127.0.0.1, or on a free port.
    pub fn listen(servers: &ServerLoop, sensor: Sensor, port: Option<u16>) -> Result<Self, SensorError> {
        Self::start(servers, sensor, port, None)
    }

    /// A sensor on a free port that lets nobody in but `user` with `password`.
    pub fn guarded(
        servers: &ServerLoop,
        sensor: Sensor,
        user: &str,
        password: &str,
    ) -> Result<Self, SensorError> {
        let auth = rtsp::RTSPAuth::new();
        let token = rtsp::RTSPToken::builder().field("media.factory.role", ROLE).build();
        auth.add_basic(&rtsp::RTSPAuth::make_basic(user, password), &token);
        Self::start(servers, sensor, None, Some(auth))
    }

    fn start(
        servers: &ServerLoop,
        sensor: Sensor,
        port: Option<u16>,
        guard: Option<rtsp::RTSPAuth>,
    ) -> Result<Self, SensorError> {
        let context = servers.context.clone();
        let outlet = Arc::new(Outlet::default());
        let mut server = Self { sensor, context, port: port.unwrap_or(0), guard, plugged: None, outlet };
        server.plug()?;
        Ok(server)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let mount = match self.sensor {
            Sensor::Camera => "camera",
            Sensor::Microphone => "microphone",
        };
        format!("rtsp://127.0.0.1:{}/{mount}", self.port)
    }

    /// Whether a client is receiving.
    pub fn is_watched(&self) -> bool {
        self.outlet.clients.load(Ordering::Relaxed) > 0 && self.outlet.lock().is_some()
    }

    /// Sends a part of the signal, stamped with the time of this call: an RGB frame for a camera,
    /// 16-bit samples for a microphone. Without a client it goes nowhere, as with any live sensor, and so
    /// it does until the server plays: an `appsrc` that has a clock and no base time yet stamps with the
    /// clock's own time, hours ahead of the stream's, and what comes after waits for those hours.
    pub fn send(&self, part: Vec<u8>) {
        let outlet = self.outlet.lock();
        if let Some(source) = outlet.as_ref().filter(|source| source.current_state() == gst::State::Playing) {
            // Refused only while the client's pipeline is being torn down.
            let _ = source.push_buffer(gst::Buffer::from_mut_slice(part));
        }
    }

    /// From now on frames are `width` x `height`: a camera that is switched in the middle of a session.
    pub fn resize(&self, width: usize, height: usize) {
        let caps = format!("video/x-raw,format=RGB,width={width},height={height},framerate={FRAMES}/1");
        let caps: gst::Caps = caps.parse().expect("these are caps");
        self.outlet.size.lock().expect(UNPOISONED).clone_from(&Some(caps.clone()));
        if let Some(source) = &*self.outlet.lock() {
            source.set_caps(Some(&caps));
        }
    }

    /// Starts to listen, on the port of the first time.
    pub fn plug(&mut self) -> Result<(), SensorError> {
        if self.plugged.is_some() {
            return Ok(());
        }
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&self.port.to_string());
        server.set_auth(self.guard.as_ref());
        let mounts = server.mount_points().expect("a new server has mount points");
        let path = self.url().rsplit_once('/').map(|(_, mount)| format!("/{mount}")).unwrap_or_default();
        mounts.add_factory(&path, self.factory());
        let outlet = Arc::clone(&self.outlet);
        server.connect_client_connected(move |_, client| {
            outlet.clients.fetch_add(1, Ordering::Relaxed);
            let outlet = Arc::clone(&outlet);
            client.connect_closed(move |_| {
                outlet.clients.fetch_sub(1, Ordering::Relaxed);
            });
        });
        let listener = self.attach(&server)?;
        self.port = u16::try_from(server.bound_port()).unwrap_or(self.port);
        self.plugged = Some(Plugged { server, listener: Some(listener), context: self.context.clone() });
        Ok(())
    }

    /// A server that was just pulled holds the port until its thread has let go of it.
    fn attach(&self, server: &rtsp::RTSPServer) -> Result<glib::SourceId, SensorError> {
        let started = Instant::now();
        loop {
            match server.attach(Some(&self.context)) {
                Ok(listener) => return Ok(listener),
                Err(_) if started.elapsed() < LET_GO_WITHIN => thread::sleep(LET_GO_WITHIN / 100),
                Err(source) => return Err(SensorError::Listen { port: self.port, source }),
            }
        }
    }

    /// Stops listening and drops every client.
    pub fn pull(&mut self) {
        self.plugged = None;
        *self.outlet.lock() = None;
    }

    /// Drops every client and goes on listening.
    pub fn hang_up(&self) {
        if let Some(plugged) = &self.plugged {
            plugged.hang_up();
        }
    }

    fn factory(&self) -> rtsp::RTSPMediaFactory {
        // A live source drops what its client is too slow for, and a new client starts with the
        // present, not with what has piled up.
        let source = "appsrc name=source is-live=true do-timestamp=true format=time \
                      max-buffers=4 leaky-type=downstream";
        let launch = match self.sensor {
            Sensor::Camera => format!(
                "( {source} caps={} ! videoconvert ! video/x-raw,format=I420 \
                 ! x264enc tune=zerolatency speed-preset=veryfast pass=quant quantizer=18 key-int-max={FRAMES} \
                 ! rtph264pay name=pay0 pt=96 config-interval=-1 )",
                clip::video_caps()
            ),
            Sensor::Microphone => {
                format!("( {source} caps={} ! audioconvert ! rtpL16pay name=pay0 pt=97 )", clip::audio_caps())
            }
        };
        let factory = rtsp::RTSPMediaFactory::new();
        factory.set_launch(&launch);
        factory.set_shared(true);
        factory.set_latency(0);
        if self.guard.is_some() {
            let role = gst::Structure::builder(ROLE)
                .field("media.factory.access", true)
                .field("media.factory.construct", true);
            factory.add_role_from_structure(&role.build());
        }
        let outlet = Arc::clone(&self.outlet);
        factory.connect_media_configure(move |_, media| {
            let bin = media.element().downcast::<gst::Bin>().expect("a launch line in brackets is a bin");
            let source = bin.by_name("source").and_downcast::<AppSrc>();
            if let (Some(source), Some(size)) = (&source, &*outlet.size.lock().expect(UNPOISONED)) {
                source.set_caps(Some(size));
            }
            outlet.lock().clone_from(&source);
            let outlet = Arc::clone(&outlet);
            media.connect_unprepared(move |_| {
                let mut current = outlet.lock();
                if *current == source {
                    *current = None;
                }
            });
        });
        factory
    }
}

/// What a user of a guarded sensor is to its server.
const ROLE: &str = "user";
const UNPOISONED: &str = "nothing panics while the outlet is locked";

/// Where a sensor's signal goes.
#[derive(Debug, Default)]
struct Outlet {
    source: Mutex<Option<AppSrc>>,
    /// Caps of another size than the usual.
    size: Mutex<Option<gst::Caps>>,
    clients: AtomicUsize,
}

impl Outlet {
    fn lock(&self) -> MutexGuard<'_, Option<AppSrc>> {
        self.source.lock().expect(UNPOISONED)
    }
}

/// A server that listens until it is dropped.
#[derive(Debug)]
struct Plugged {
    server: rtsp::RTSPServer,
    listener: Option<glib::SourceId>,
    context: glib::MainContext,
}

impl Plugged {
    fn hang_up(&self) {
        self.server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
        if let Some(sessions) = self.server.session_pool() {
            sessions.filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
        }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        let listener = self.listener.take().and_then(|listener| self.context.find_source_by_id(&listener));
        if let Some(listener) = listener {
            listener.destroy();
        }
        self.hang_up();
    }
}
