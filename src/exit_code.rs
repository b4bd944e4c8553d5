//! Exit codes, after BSD's `sysexits.h`.

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well, a drained shutdown included.
    Success = 0,
    /// The command line is wrong.
    Usage = 64,
    /// Input data is not what it should be: a damaged bundle, media that cannot be decoded.
    BadData = 65,
    /// An input file is missing or unreadable.
    NoInput = 66,
    /// Something that is needed cannot be had: an engine, a port.
    Unavailable = 69,
    /// A defect of this program.
    Internal = 70,
    /// Output cannot be written.
    Io = 74,
    /// The configuration is wrong.
    Config = 78,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
