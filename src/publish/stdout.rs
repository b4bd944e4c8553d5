//! Labels on standard output, a JSON object a line.

use std::io::{self, BufWriter, Write};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::{Message, PublishError, Publisher};

/// Writes labels as lines.
pub struct Stdout<W> {
    writer: W,
}

impl<W: Write + Send + 'static> Stdout<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }
}

impl<W: Write + Send + 'static> Publisher for Stdout<W> {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn run(self: Box<Self>, inbox: mpsc::Receiver<Message>) -> BoxFuture<'static, Result<(), PublishError>> {
        Box::pin(async move {
            // A pipe that nobody reads blocks, which no task may.
            let writing = tokio::task::spawn_blocking(move || write(BufWriter::new(self.writer), inbox));
            Ok(writing.await.expect("writing does not panic")?)
        })
    }
}

fn write(mut writer: impl Write, mut inbox: mpsc::Receiver<Message>) -> io::Result<()> {
    while let Some(message) = inbox.blocking_recv() {
        if let Message::Label(label) = message {
            serde_json::to_writer(&mut writer, &*label)?;
            writer.write_all(b"\n")?;
        }
        // A reader gets each label at once; only what waits anyway is written together.
        if inbox.is_empty() {
            writer.flush()?;
        }
    }
    writer.flush()
}
