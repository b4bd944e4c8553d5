//! Comma-separated values by line and column.

use std::path::Path;

use csv_core::{ReadRecordResult, Reader};

use super::FieldError;
use crate::data::error::DataError;

/// One record: its fields, without the space around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// Its fields.
    pub fields: Vec<String>,
}

impl Record {
    /// The field of a column. Errors: the record is shorter.
    pub(super) fn field(&self, column: usize, name: &'static str) -> Result<&str, FieldError> {
        let lacking = || FieldError::new(name, "", format!("at least {} fields", column + 1));
        self.fields.get(column).map(String::as_str).ok_or_else(lacking)
    }
}

/// The records of a CSV file.
pub(super) fn read(path: &Path) -> Result<Vec<Record>, DataError> {
    Ok(parse(&super::read_text(path)?))
}

/// The records of a text (RFC 4180): quoted fields may go over several lines, records may differ in length,
/// and empty lines are none.
pub(super) fn parse(text: &str) -> Vec<Record> {
    // A field is never longer than the text, nor are there more fields than bytes.
    let (mut reader, mut rest) = (Reader::new(), text.as_bytes());
    let (mut values, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 1]);
    let mut records = Vec::new();
    let (mut written, mut ended) = (0, 0);
    loop {
        // What was read before: line breaks that the reader skips before a record are not yet among it.
        let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let line = reader.line() as usize + skipped.filter(|byte| **byte == b'\n').count();
        let (result, read, more, fields) =
            reader.read_record(rest, &mut values[written..], &mut ends[ended..]);
        rest = &rest[read..];
        (written, ended) = (written + more, ended + fields);
        match result {
            ReadRecordResult::Record => {
                records.push(Record { line, fields: split(&values[..written], &ends[..ended]) });
                (written, ended) = (0, 0);
            }
            // An empty input means the end of the text to the reader.
            ReadRecordResult::InputEmpty => (),
            ReadRecordResult::End => return records,
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                unreachable!("the text fits into a field as long as itself")
            }
        }
    }
}

fn split(values: &[u8], ends: &[usize]) -> Vec<String> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let field =
        |(start, end): (usize, &usize)| String::from_utf8_lossy(&values[start..*end]).trim().to_owned();
    starts.zip(ends).map(field).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(rows in vec(vec("[a-z,\"\n]{0,6}", 2..4), 0..6)) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
            let found: Vec<Vec<String>> = parse(&text).into_iter().map(|record| record.fields).collect();
            let trimmed: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(|field| field.trim().to_owned()).collect()).collect();
            prop_assert_eq!(found, trimmed);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), other in "[a,\"\r\n]{0,40}") {
            parse(&text);
            parse(&other);
        }
    }

    #[test]
    fn records_know_the_line_on_which_they_begin() {
        let records = parse("a, b\n\r\n\n\"c\nd\",e\nf\n");
        let found: Vec<(usize, Vec<&str>)> =
            records.iter().map(|r| (r.line, r.fields.iter().map(String::as_str).collect())).collect();
        assert_eq!(found, [(1, vec!["a", "b"]), (4, vec!["c\nd", "e"]), (6, vec!["f"])]);
        assert!(parse("").is_empty());
    }
}
