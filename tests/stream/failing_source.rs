//! The daemon as a whole, with a source that is down when it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cmpt::config::Config;
use cmpt::failure::Failure;
use cmpt::inference::Worker;
use cmpt::ingest::feed::{FeedSender, LIVE, WhenFull, channel};
use cmpt::ingest::{Feed, Media, Source, SourceError, SourceSpec, StreamClock};
use cmpt::publish::{Message, PublishError, Publisher};
use cmpt::supervisor::{Daemon, Identity};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::support::{AUDIO, LinearEngine, VIDEO, sound, tiny_model};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// Unreachable at first; from the second start on it delivers one block of sound and stays open.
struct Flaky {
    spec: SourceSpec,
    starts: Arc<AtomicUsize>,
    open: mpsc::Sender<FeedSender>,
}

impl Source for Flaky {
    fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    fn start_within(&self, clock: &StreamClock, _: Duration) -> Feed {
        let (sender, feed, _running) = channel(&[AUDIO, VIDEO], LIVE, WhenFull::DropOldest, || ());
        if self.starts.fetch_add(1, Ordering::Relaxed) == 0 {
            let media = Media::Uri("rtsp://camera".into());
            sender.fail(SourceError::Unreachable { media, message: "no route to host".into() });
        } else {
            sender.send(0, sound(clock.now().as_millis(), false)).unwrap();
            self.open.try_send(sender).unwrap();
        }
        feed
    }
}

/// Hands every message to the test.
struct Tell(mpsc::Sender<Message>);

impl Publisher for Tell {
    fn name(&self) -> &'static str {
        "test"
    }

    fn run(
        self: Box<Self>,
        mut inbox: mpsc::Receiver<Message>,
    ) -> BoxFuture<'static, Result<(), PublishError>> {
        Box::pin(async move {
            while let Some(message) = inbox.recv().await {
                // The test may have heard enough.
                let _ = self.0.send(message).await;
            }
            Ok(())
        })
    }
}

/// A publisher that cannot go on.
struct Broken;

impl Publisher for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn run(self: Box<Self>, _: mpsc::Receiver<Message>) -> BoxFuture<'static, Result<(), PublishError>> {
        Box::pin(async { Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into()) })
    }
}

/// A daemon with one stream that a [`Flaky`] source plays, and how often that was started.
async fn daemon(
    publisher: Box<dyn Publisher>,
    open: mpsc::Sender<FeedSender>,
) -> (Daemon, Arc<AtomicUsize>, tempfile::TempDir) {
    let (folder, model) = tiny_model();
    let text = r#"
node = "node"
[model]
bundle = "tiny"
[[stream]]
id = "desk"
[[stream.source]]
uri = "rtsp://camera"
provides = ["audio", "video"]
"#;
    let config = Config::parse("test.toml".as_ref(), text).unwrap();
    let plan = config.plan(&model).unwrap().remove(0);
    let engine_model = Arc::clone(&model);
    let worker = Worker::start(Arc::clone(&model), move || Ok(Box::new(LinearEngine::new(engine_model))));
    let worker = worker.await.unwrap();
    let starts = Arc::new(AtomicUsize::new(0));
    let source = Flaky { spec: plan.sources[0].clone(), starts: Arc::clone(&starts), open };
    let identity = Identity { node: "node".into(), boot_id: "boot".into(), model };
    let streams = vec![(plan, vec![Box::new(source) as Box<dyn Source>])];
    (Daemon::start(identity, worker, vec![publisher], streams).await, starts, folder)
}

#[tokio::test]
async fn a_source_that_is_down_at_the_start_is_lost_then_started_again() {
    let (told, mut messages) = mpsc::channel(64);
    let (open, _opened) = mpsc::channel(4);
    let (daemon, starts, _folder) = daemon(Box::new(Tell(told)), open).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(daemon.run(async move { drop(stopped.await) }));

    let states = async {
        let mut states = Vec::new();
        while !states.contains(&"recovering") {
            match messages.recv().await.unwrap() {
                Message::Sensor { modality, sensor, .. } if modality == "audio" => states.push(sensor.state),
                _ => {}
            }
        }
        states
    };
    let states = tokio::time::timeout(DEADLINE, states).await.unwrap();
    assert_eq!(states, ["healthy", "lost", "recovering"]);
    assert_eq!(starts.load(Ordering::Relaxed), 2);

    stop.send(()).unwrap();
    tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_publisher_that_cannot_go_on_ends_the_daemon_with_its_error() {
    let (open, _opened) = mpsc::channel(4);
    let (daemon, _starts, _folder) = daemon(Box::new(Broken), open).await;
    let ended = tokio::time::timeout(DEADLINE, daemon.run(std::future::pending())).await.unwrap();
    assert!(matches!(ended, Err(Failure::Publish(PublishError::Stdout(_)))), "{ended:?}");
}
