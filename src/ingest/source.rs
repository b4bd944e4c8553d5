//! What a source is, what it says, and why it fails.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cmpt_core::modality::ModalityId;
use cmpt_core::samples::Sample;

use super::credentials::CredentialsError;
use super::{Feed, StreamClock};

/// Something that can be played, and played again after it failed.
pub trait Source: Send + Sync {
    /// What it plays and which modalities it provides.
    fn spec(&self) -> &SourceSpec;

    /// Starts to play on a thread of its own, without waiting for the device or server: what goes
    /// wrong there comes as [`SourceMessage::Failed`]. Dropping the feed stops it.
    fn start(&self, clock: &StreamClock) -> Feed {
        self.start_within(clock, self.spec().start_within)
    }

    /// The same with another bound on the time to the first sample than that of its specification.
    fn start_within(&self, clock: &StreamClock, patience: Duration) -> Feed;

    /// Host and port of a server that must accept a connection before it is worth while to start.
    fn address(&self) -> Option<(String, u16)> {
        None
    }
}

/// What to play, for whom, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
    /// What to play.
    pub media: Media,
    /// One output per modality it provides.
    pub outputs: Vec<Output>,
    /// How fast.
    pub pace: Pace,
    /// It has failed when its first sample takes longer than this; a keeper says otherwise, see
    /// [`patience`](crate::patience).
    pub start_within: Duration,
    /// It has failed when nothing at all arrives for this long after the first sample.
    pub stall_after: Duration,
    /// Longest wait before it is started again.
    pub retry_max: Duration,
    /// Added to its timestamps, in milliseconds: positive for a source whose samples are stamped earlier
    /// than those of its companions for the same event.
    pub offset_ms: i64,
    /// What RTP comes over.
    pub transport: RtpTransport,
    /// File with `USER:PASSWORD` on its first line, see [`credentials`](super::credentials).
    pub credentials_file: Option<PathBuf>,
}

impl SourceSpec {
    /// Default of `start_within`: most cameras send a key frame every second to four.
    pub const START_WITHIN: Duration = Duration::from_secs(6);
    /// Default of `stall_after`. What was sent into a dead network is sent again later and later (TCP
    /// doubles its wait), so a new connection is the quicker way back.
    pub const STALL_AFTER: Duration = Duration::from_secs(2);
    /// Default of `retry_max`: with windows of a second, a sensor is back within two of them. To try a
    /// dead server costs a connection.
    pub const RETRY_MAX: Duration = Duration::from_secs(1);

    /// A source with every default.
    pub fn new(media: Media, outputs: Vec<Output>, pace: Pace) -> Self {
        Self {
            media,
            outputs,
            pace,
            start_within: Self::START_WITHIN,
            stall_after: Self::STALL_AFTER,
            retry_max: Self::RETRY_MAX,
            offset_ms: 0,
            transport: RtpTransport::Tcp,
            credentials_file: None,
        }
    }
}

/// What RTP comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpTransport {
    /// Inside the RTSP connection: passes firewalls, loses nothing.
    Tcp,
    /// Datagrams: what is lost is lost, and nothing waits for it.
    Udp,
}

/// What to play.
#[derive(Clone, PartialEq, Eq)]
pub enum Media {
    /// A path, or a URI of any scheme that GStreamer has a source for.
    Uri(String),
    /// A pipeline in gst-launch syntax whose last elements, or their open source pads, are named
    /// `audio` and `video`.
    Pipeline(String),
}

/// One modality that a source provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The modality.
    pub modality: ModalityId,
    /// Its name, for messages.
    pub name: String,
    /// What its samples are.
    pub format: Format,
}

/// What an output's samples are converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Mono float sound.
    Audio {
        /// Samples a second.
        rate_hz: u32,
    },
    /// 8-bit RGB pictures.
    Video {
        /// Larger pictures are scaled down until their shortest edge, in pixels, is this.
        max_edge: u32,
    },
}

/// How fast a source is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// In real time: devices and servers as they deliver, files by their timestamps.
    Live,
    /// As fast as the samples are taken, in stream time from 0.
    Replay,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceMessage {
    /// The first sample is about to follow.
    Started,
    /// A sample.
    Sample {
        /// Of which modality.
        modality: ModalityId,
        /// The sample.
        sample: Sample,
    },
    /// The media does not have a modality, or nothing here can decode it; the others go on. If it appears
    /// later, samples follow.
    Lacking {
        /// Which.
        modality: ModalityId,
        /// Why.
        error: SourceError,
    },
    /// A modality has ended. A server that closes its connection in order also ends its stream.
    Ended {
        /// Which.
        modality: ModalityId,
    },
    /// The source has failed; nothing follows.
    Failed(SourceError),
}

/// Why a source failed. `media` prints without credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The build has no GStreamer.
    #[error("play {media}: this build has no GStreamer (cargo feature `gst`)")]
    NoGStreamer {
        /// What was to be played.
        media: Media,
    },
    /// GStreamer, or an element that every pipeline needs, is not installed.
    #[error("set up GStreamer: {message}")]
    Setup {
        /// What GStreamer says.
        message: String,
    },
    /// The credentials cannot be read.
    #[error(transparent)]
    Credentials {
        /// Why; never what they are.
        #[from]
        error: CredentialsError,
    },
    /// The media file cannot be read.
    #[error("read media file {}: {message}", path.display())]
    File {
        /// Absolute path that was tried.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The pipeline text is not a pipeline.
    #[error("parse pipeline {media}: {message}")]
    Syntax {
        /// The pipeline.
        media: Media,
        /// What GStreamer says.
        message: String,
    },
    /// The pipeline text does not end as it must.
    #[error(
        "use pipeline {media}: it has no open source pad at an element named `{kind}`, wanted by modality {modality}"
    )]
    NoTail {
        /// The pipeline.
        media: Media,
        /// `audio` or `video`.
        kind: &'static str,
        /// The modality that wants it.
        modality: String,
    },
    /// The media has no stream of a kind that is wanted.
    #[error("play {media}: it has no {kind} stream, wanted by modality {modality}")]
    NoStream {
        /// What was to be played.
        media: Media,
        /// `audio` or `video`.
        kind: &'static str,
        /// The modality that wants it.
        modality: String,
    },
    /// A plugin lacks.
    #[error("play {media}: no GStreamer plugin for {wanted}")]
    NoPlugin {
        /// What was to be played.
        media: Media,
        /// The codec, container or protocol.
        wanted: String,
    },
    /// The server or device cannot be opened.
    #[error("reach {media}: {message}")]
    Unreachable {
        /// What was to be played.
        media: Media,
        /// What GStreamer says.
        message: String,
    },
    /// The media is not what it claims to be.
    #[error("decode {media}: {message}")]
    Corrupt {
        /// What was to be played.
        media: Media,
        /// What GStreamer says.
        message: String,
    },
    /// Nothing arrives, and nobody says why.
    #[error("play {media}: nothing arrived for {} ms", after.as_millis())]
    Stalled {
        /// What was to be played.
        media: Media,
        /// How long.
        after: Duration,
    },
    /// Samples keep coming so late that no window can use them: they pile up on the way.
    #[error("play {media}: samples come {} ms after their time", by.as_millis())]
    Behind {
        /// What was to be played.
        media: Media,
        /// How late the latest was.
        by: Duration,
    },
    /// Anything else that an element of the pipeline reports.
    #[error("play {media}: {message}")]
    Element {
        /// What was to be played.
        media: Media,
        /// What GStreamer says.
        message: String,
    },
}

impl SourceError {
    /// Name of the kind of failure, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoGStreamer { .. } => "no_gstreamer",
            Self::Setup { .. } => "setup",
            Self::Credentials { .. } => "credentials",
            Self::File { .. } => "file",
            Self::Syntax { .. } => "syntax",
            Self::NoTail { .. } => "no_tail",
            Self::NoStream { .. } => "no_stream",
            Self::NoPlugin { .. } => "no_plugin",
            Self::Unreachable { .. } => "unreachable",
            Self::Corrupt { .. } => "corrupt",
            Self::Stalled { .. } => "stalled",
            Self::Behind { .. } => "behind",
            Self::Element { .. } => "element",
        }
    }

    /// Whether waiting is unlikely to mend it.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NoGStreamer { .. }
            | Self::Setup { .. }
            | Self::Syntax { .. }
            | Self::NoTail { .. }
            | Self::NoStream { .. }
            | Self::NoPlugin { .. }
            | Self::Corrupt { .. } => true,
            Self::Credentials { .. }
            | Self::File { .. }
            | Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::Behind { .. }
            | Self::Element { .. } => false,
        }
    }
}

impl Format {
    /// `audio` or `video`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Audio { .. } => "audio",
            Self::Video { .. } => "video",
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => f.write_str(&without_credentials(uri)),
            Self::Pipeline(text) => write!(f, "`{}`", without_credentials(text)),
        }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `text` without what must not be read in a log: the user information of every
/// `scheme://user:password@host`, and the values of properties that are named like a secret.
pub(super) fn without_credentials(text: &str) -> String {
    without_secret_properties(&without_user_info(text))
}

/// Whether `uri` names a user, with or without a password.
pub fn has_credentials(uri: &str) -> bool {
    without_user_info(uri) != uri
}

fn without_user_info(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        kept.push_str(before);
        kept.push_str("://");
        let authority =
            after.find(|c: char| c == '/' || c.is_whitespace() || c == '"').unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(at) => {
                kept.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    kept.push_str(rest);
    kept
}

/// As elements and query strings name them: `user-pw=`, `passphrase=`, `access_token=`.
const SECRET_NAMES: [&str; 4] = ["pw", "pass", "secret", "token"];

fn without_secret_properties(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        kept.push_str(before);
        kept.push('=');
        let name = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).next();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        rest = after;
        if SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
            kept.push_str("***");
            rest = &after[value_length(after)..];
        }
    }
    kept.push_str(rest);
    kept
}

/// Length of the value that `text` begins with: up to the closing quote, or to a separator.
fn value_length(text: &str) -> usize {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.find('"').map_or(text.len(), |end| end + 2);
    }
    text.find(|c: char| c.is_whitespace() || c == '&' || c == '"' || c == '`').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_printed() {
        for (text, shown) in [
            ("rtsp://admin:pa@ss@camera.local/stream", "rtsp://***@camera.local/stream"),
            ("rtsp://camera.local/user@home", "rtsp://camera.local/user@home"),
            ("/media/a@b.mp4", "/media/a@b.mp4"),
        ] {
            assert_eq!(Media::Uri(text.into()).to_string(), shown);
        }
        for (text, shown) in [
            ("rtspsrc user-id=a user-pw=s3cret ! x", "`rtspsrc user-id=a user-pw=*** ! x`"),
            ("srtsrc passphrase=\"my secret\" name=a", "`srtsrc passphrase=*** name=a`"),
            (
                "souphttpsrc location=http://h/?token=abc&x=1",
                "`souphttpsrc location=http://h/?token=***&x=1`",
            ),
        ] {
            assert_eq!(Media::Pipeline(text.into()).to_string(), shown);
        }
        let pipeline = Media::Pipeline("rtspsrc location=rtsp://u:p@h/s ! decodebin name=video".into());
        assert_eq!(pipeline.to_string(), "`rtspsrc location=rtsp://***@h/s ! decodebin name=video`");
    }
}
