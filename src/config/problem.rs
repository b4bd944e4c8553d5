//! What is wrong with a configuration: every problem with its place, value and remedy.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Everything that is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {}: {source}", path.display())]
    Read {
        /// Absolute path that was tried.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is read but wrong.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Its line, counted from 1.
    pub line: usize,
    /// The key, such as `stream[0].lateness_ms`; empty where there is none.
    pub key: String,
    /// The mistake.
    pub fault: Fault,
}

/// A kind of mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text is not TOML.
    Syntax(String),
    /// An unknown key, or a value of the wrong type, in the words of the deserializer.
    Shape(String),
    /// A value of the right type that cannot be.
    Value {
        /// The value.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A key that must be there is not.
    Missing {
        /// What it should hold.
        expected: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.key.is_empty() {
            write!(f, "`{}`", self.key)?;
        }
        match &self.fault {
            Fault::Syntax(message) => write!(f, "not TOML: {message}"),
            Fault::Shape(message) => write!(f, ": {message}"),
            Fault::Value { found, expected } => write!(f, " is {found}, expected {expected}"),
            Fault::Missing { expected } => write!(f, " is missing, expected {expected}"),
        }
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The place of a value in the file, kept for checks that need more than the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// The key.
    pub key: String,
}

/// The text of a file, for places and values of problems.
pub(super) struct Document<'a> {
    pub file: &'a Path,
    pub text: &'a str,
}

impl Document<'_> {
    pub fn place(&self, span: &Range<usize>, key: impl Into<String>) -> Place {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        Place { line: 1 + before.iter().filter(|byte| **byte == b'\n').count(), key: key.into() }
    }

    pub fn problem(&self, span: &Range<usize>, key: impl Into<String>, fault: Fault) -> Problem {
        let Place { line, key } = self.place(span, key);
        Problem { file: self.file.to_owned(), line, key, fault }
    }
}
