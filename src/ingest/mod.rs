//! Ingest: timestamped samples from cameras, microphones, streams and files.
//!
//! A [`Source`] describes what to play and which modalities it provides. [`Source::start`] plays it
//! on a thread of its own and returns a [`Feed`], from which its [`SourceMessage`]s are received. A
//! source never restarts itself: when its feed ends, the supervisor starts it again.
//!
//! **Order of messages.** [`Started`](SourceMessage::Started) with the first sample; then samples, in
//! time order within each modality; then one [`Ended`](SourceMessage::Ended) per modality, or one
//! [`Failed`](SourceMessage::Failed), which may also come before anything else. Then `None`. A
//! [`Lacking`](SourceMessage::Lacking) comes whenever it is known that a live source does without a
//! modality; in a replay that is a failure.
//!
//! **Queues.** One ring per modality between the streaming thread and the feed, of [`LIVE`](feed::LIVE)
//! or [`REPLAY`](feed::REPLAY) samples and bytes. When full: a live source drops the oldest samples and
//! counts them ([`Feed::dropped`]); a replayed one blocks its streaming thread, which holds back the
//! decoder.
//!
//! **Time.** Samples carry stream time: the buffer's running time, with every live pipeline on the
//! system clock and on the base time of the stream's [`StreamClock`], so that sources compare and a
//! restarted one goes on where it would have been. What is not live by itself (a file) is at stream
//! time 0 in a replay, else at the moment it starts to play. A buffer without a timestamp is dropped
//! and counted, never given one.
//!
//! **Architecture invariant.** Nothing outside `gst` knows of GStreamer, and nothing here judges a
//! signal: that is the dropout detector's business.

pub mod clock;
pub mod credentials;
pub mod drop;
pub mod feed;
#[cfg(feature = "gst")]
mod gst;
pub mod replay;
pub mod source;

pub use clock::StreamClock;
pub use drop::{DropError, DropFilter, DropSpec};
pub use feed::Feed;
pub use replay::Replay;
pub use source::has_credentials;
pub use source::{Format, Media, Output, Pace, RtpTransport, Source, SourceError, SourceMessage, SourceSpec};

/// A source that plays `spec` through GStreamer. Errors: [`SourceError::NoGStreamer`] in a build
/// without it; credentials that cannot be read.
pub fn open(spec: SourceSpec) -> Result<Box<dyn Source>, SourceError> {
    if let Some(file) = &spec.credentials_file {
        // Read anew at every start; here only so that a mistake is seen at the first.
        credentials::read(file)?;
    }
    #[cfg(feature = "gst")]
    return Ok(Box::new(gst::GstSource::new(spec)?));
    #[cfg(not(feature = "gst"))]
    return Err(SourceError::NoGStreamer { media: spec.media });
}
