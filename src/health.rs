//! What the outside is told of the daemon's health: the service manager, and whoever scrapes metrics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

/// Bounds of latency histograms in seconds, from a small encoder on a fast core to a label that is
/// late beyond use.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 5.0];
/// Progress that may wait to be seen; when full there is enough.
pub const PROGRESS: usize = 64;
/// How often the status line changes.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Why health cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The port of the metrics cannot be had.
    #[error("serve metrics on {address} (`health.listen`): {message}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why, such as that the port is in use.
        message: String,
    },
}

/// Serves metrics in Prometheus' format on `address`. Must be called on the runtime.
pub fn serve_metrics(address: SocketAddr) -> Result<(), HealthError> {
    let builder = PrometheusBuilder::new().with_http_listener(address);
    let builder = builder.set_buckets(&BUCKETS).expect("there are buckets");
    builder.install().map_err(|error| HealthError::Listen { address, message: error.to_string() })?;
    describe();
    Ok(())
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("cmpt_windows_total", "Windows published, by stream and path (full, proxy, blind)");
    describe_histogram!("cmpt_label_latency_seconds", "From the end of a window to its label");
    describe_histogram!("cmpt_stage_seconds", "Time of one run of a stage of inference");
    describe_counter!("cmpt_source_restarts_total", "Starts of a source after its first");
    describe_counter!("cmpt_source_failures_total", "Ends of a source, by kind of failure");
    describe_gauge!("cmpt_source_up", "Whether a source delivers");
    describe_gauge!("cmpt_source_delay_seconds", "From a sample's timestamp to its arrival, at the least");
    describe_gauge!("cmpt_source_drift_ppm", "How much slower than this machine's clock a source's runs");
    describe_gauge!("cmpt_source_queue_bytes", "Most bytes that a source's queue held in its present run");
    describe_counter!("cmpt_source_samples_lost_total", "Samples lost in a source's queue");
    describe_counter!("cmpt_samples_dropped_total", "Samples refused, by reason");
    describe_gauge!("cmpt_outbox_labels", "Labels that the broker has not acknowledged");
    describe_counter!("cmpt_publish_dropped_total", "Messages lost to a publisher");
}

/// Tells the service manager. Without one, all of this does nothing.
#[derive(Debug)]
pub struct Notifier {
    streams: usize,
    engine: String,
}

impl Notifier {
    /// For a daemon with so many streams on `engine`.
    pub fn new(streams: usize, engine: &str) -> Self {
        Self { streams, engine: engine.to_owned() }
    }

    /// All is up.
    pub fn ready(&self) {
        let status = format!("{} streams on {}", self.streams, self.engine);
        notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        notify(&[NotifyState::Stopping, NotifyState::Status("finishing the windows that are due")]);
    }

    /// Feeds the watchdog whenever every stream has published a window since the last time, so that
    /// it sees work and not merely a timer.
    pub async fn watch(&self, mut progress: mpsc::Receiver<usize>) {
        let mut moved = BTreeSet::new();
        let (mut windows, mut told_at) = (0_u64, Instant::now());
        while let Some(stream) = progress.recv().await {
            windows += 1;
            moved.insert(stream);
            if moved.len() == self.streams {
                moved.clear();
                notify(&[NotifyState::Watchdog]);
            }
            if told_at.elapsed() >= STATUS_INTERVAL {
                told_at = Instant::now();
                let status = format!("{windows} windows of {} streams on {}", self.streams, self.engine);
                notify(&[NotifyState::Status(&status)]);
            }
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager cannot be told");
    }
}
