//! What was shown and said, and which sensor was at fault, second by second, as JSON lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::faults::Fault;

/// Class names of the digits 0 to 9.
pub const LABELS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// The truth of one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Number of the second, from 0.
    pub second: u64,
    /// Its start: milliseconds of stream time for a clip, unix milliseconds for a live stream.
    pub start_ms: i64,
    /// The digit's class name.
    pub label: String,
    /// Faults by modality.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, Fault>,
}

/// Why a truth file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not a truth.
    #[error("read {}, line {line}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads JSON lines. A last line without its line break is still being written, and left out.
pub fn read(path: &Path) -> Result<Vec<Truth>, TruthError> {
    let text = fs::read_to_string(path).map_err(|source| TruthError::Read { path: path.into(), source })?;
    let lines = text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n'));
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| TruthError::Line {
            path: path.into(),
            line: index + 1,
            source,
        })
    };
    lines.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_survives_its_file_and_an_unfinished_line_is_left_out() {
        let truth = Truth {
            second: 3,
            start_ms: 3000,
            label: LABELS[7].into(),
            faults: BTreeMap::from([("video".into(), Fault::Pulled)]),
        };
        let line = serde_json::to_string(&truth).unwrap();
        assert_eq!(line, r#"{"second":3,"start_ms":3000,"label":"seven","faults":{"video":"pulled"}}"#);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{line}\n{{\"second\":4")).unwrap();
        assert_eq!(read(file.path()).unwrap(), [truth]);
    }

    #[test]
    fn a_line_that_is_no_truth_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{}\n").unwrap();
        assert!(read(file.path()).unwrap_err().to_string().ends_with("line 1"));
    }
}
