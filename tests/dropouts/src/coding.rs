//! Coding content into files and out of them again, by the `ffmpeg` program: a coder is a coder only if it
//! is one that people use.

use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::clip::Coding;
use crate::picture::{HEIGHT, RATE, WIDTH};
use crate::sound::{BLOCK, RATE_HZ};

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodingError {
    /// The program does not start.
    #[error("start ffmpeg: {0}; install Debian's package of that name")]
    Start(std::io::Error),
    /// It takes no more.
    #[error("feed ffmpeg: {0}")]
    Feed(std::io::Error),
    /// It ended with an error.
    #[error("code {}: ffmpeg says {message}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// The last line of what it says.
        message: String,
    },
    /// The clip lacks what it is needed for.
    #[error("read {}: expected {expected}, found none", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// `pictures` or `sound`.
        expected: &'static str,
    },
}

/// Writes content to a Matroska file.
pub struct Encoder {
    child: Child,
    input: ChildStdin,
    path: PathBuf,
}

/// Reads content of a file.
pub struct Decoder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Encoder {
    /// A file of pictures.
    pub fn pictures(path: &Path, coding: Coding) -> Result<Self, CodingError> {
        let mut ffmpeg = quiet();
        ffmpeg.args(raw_pictures()).args(["-i", "-"]);
        match coding {
            Coding::H264 { crf, key_frames } => {
                let (crf, key_frames) = (crf.to_string(), key_frames.to_string());
                let x264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"];
                ffmpeg.args(x264).args(["-crf", &crf, "-g", &key_frames, "-threads", "1"]);
            }
            _ => {
                ffmpeg.args(["-c:v", "ffv1"]);
            }
        }
        Self::start(ffmpeg, path)
    }

    /// A file of sound.
    pub fn sound(path: &Path, coding: Coding) -> Result<Self, CodingError> {
        let mut ffmpeg = quiet();
        ffmpeg.args(raw_sound()).args(["-i", "-"]);
        match coding {
            Coding::Aac { bits_per_s } => ffmpeg.args(["-c:a", "aac", "-b:a", &bits_per_s.to_string()]),
            _ => ffmpeg.args(["-c:a", "pcm_f32le"]),
        };
        Self::start(ffmpeg, path)
    }

    fn start(mut ffmpeg: Command, path: &Path) -> Result<Self, CodingError> {
        ffmpeg.args(["-f", "matroska", "-y"]).arg(path);
        ffmpeg.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ffmpeg.spawn().map_err(CodingError::Start)?;
        let input = child.stdin.take().expect("stdin is piped");
        Ok(Self { child, input, path: path.into() })
    }

    /// Appends a picture.
    pub fn picture(&mut self, luma: &[u8]) -> Result<(), CodingError> {
        self.input.write_all(luma).map_err(CodingError::Feed)
    }

    /// Appends a block of sound.
    pub fn block(&mut self, samples: &[f32]) -> Result<(), CodingError> {
        self.input.write_all(&bytes_of(samples)).map_err(CodingError::Feed)
    }

    /// Closes the file.
    pub fn finish(self) -> Result<(), CodingError> {
        drop(self.input);
        let output = self.child.wait_with_output().map_err(CodingError::Start)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.lines().last().unwrap_or("nothing").to_owned();
        Err(CodingError::Failed { path: self.path, message })
    }
}

impl Decoder {
    /// Pictures of a file, scaled to [`WIDTH`] x [`HEIGHT`] at [`RATE`] a second.
    pub fn pictures(path: &Path) -> Result<Self, CodingError> {
        let filter = format!("scale={WIDTH}:{HEIGHT},fps={RATE}");
        Self::start(path, &["-vf", &filter, "-f", "rawvideo", "-pix_fmt", "gray"])
    }

    /// Sound of a file, mono at [`RATE_HZ`].
    pub fn sound(path: &Path) -> Result<Self, CodingError> {
        Self::start(path, &["-f", "f32le", "-ac", "1", "-ar", &RATE_HZ.to_string()])
    }

    fn start(path: &Path, arguments: &[&str]) -> Result<Self, CodingError> {
        let mut ffmpeg = quiet();
        ffmpeg.args(["-threads", "1", "-i"]).arg(path).args(arguments).arg("-");
        // What it says of a track that lacks is said better by the caller.
        ffmpeg.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ffmpeg.spawn().map_err(CodingError::Start)?;
        let output = BufReader::with_capacity(WIDTH * HEIGHT, child.stdout.take().expect("stdout is piped"));
        Ok(Self { child, output })
    }

    /// The next picture.
    pub fn picture(&mut self) -> Option<Vec<u8>> {
        let mut luma = vec![0; WIDTH * HEIGHT];
        self.output.read_exact(&mut luma).ok()?;
        Some(luma)
    }

    /// The next block of sound.
    pub fn block(&mut self) -> Option<Vec<f32>> {
        let mut bytes = vec![0; 4 * BLOCK];
        self.output.read_exact(&mut bytes).ok()?;
        let (samples, _) = bytes.as_chunks::<4>();
        Some(samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // It may have more to say than anybody wanted to know.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All pictures of a user's clip.
pub fn read_pictures(path: &Path) -> Result<Vec<Vec<u8>>, CodingError> {
    let mut decoder = Decoder::pictures(path)?;
    let pictures: Vec<_> = std::iter::from_fn(|| decoder.picture()).collect();
    if pictures.is_empty() {
        return Err(CodingError::Empty { path: path.into(), expected: "pictures" });
    }
    Ok(pictures)
}

/// All sound of a user's clip.
pub fn read_sound(path: &Path) -> Result<Vec<f32>, CodingError> {
    let mut decoder = Decoder::sound(path)?;
    let samples: Vec<_> = std::iter::from_fn(|| decoder.block()).flatten().collect();
    if samples.is_empty() {
        return Err(CodingError::Empty { path: path.into(), expected: "sound" });
    }
    Ok(samples)
}

/// How pictures are told to ffmpeg: grey of full range.
pub(crate) fn raw_pictures() -> [String; 10] {
    let size = format!("{WIDTH}x{HEIGHT}");
    ["-f", "rawvideo", "-pix_fmt", "gray", "-color_range", "pc", "-s", &size, "-r", &RATE.to_string()]
        .map(str::to_owned)
}

/// How sound is told to ffmpeg.
pub(crate) fn raw_sound() -> [String; 6] {
    ["-f", "f32le", "-ar", &RATE_HZ.to_string(), "-ac", "1"].map(str::to_owned)
}

pub(crate) fn bytes_of(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn quiet() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostats", "-loglevel", "error", "-threads", "1"]);
    ffmpeg
}
