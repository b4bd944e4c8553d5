//! What a publisher is, and why it fails.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::Message;

/// Something that publishes.
pub trait Publisher: Send {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// Publishes what comes until the inbox is closed, then what is still on its way, within a
    /// deadline of its own. Errors: it cannot go on, and what follows is lost.
    fn run(self: Box<Self>, inbox: mpsc::Receiver<Message>) -> BoxFuture<'static, Result<(), PublishError>>;
}

/// Why a publisher cannot be had, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The build lacks it.
    #[error("publish over {what}: this build cannot (cargo feature `{feature}`)")]
    NotBuilt {
        /// What is wanted.
        what: &'static str,
        /// What would add it.
        feature: &'static str,
    },
    /// A file that the configuration names cannot be read.
    #[error("read `{key}` {}: {source}", path.display())]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// Absolute path that was tried.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Labels cannot be written.
    #[error("write labels to standard output: {0}")]
    Stdout(#[from] std::io::Error),
}
