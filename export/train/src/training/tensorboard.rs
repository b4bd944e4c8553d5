//! Event files that TensorBoard reads: records of length and checksums, each an `Event` in protobuf.
//!
//! Only scalars are written, which is a dozen lines of the format; the crates that write all of it are
//! no longer kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

/// First event of every file.
const FILE_VERSION: &str = "brain.Event:2";
/// Status of a [`Session`] that begins.
const START: i32 = 1;

/// `tensorflow.Event`: the fields that are used.
#[derive(Clone, PartialEq, Message)]
struct Record {
    /// Unix time in seconds.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session: Option<Session>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// Optional, or a zero would not be written, and TensorBoard would not know that there is a scalar.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// An open event file.
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// A new file in the folder `dir`, of a run that goes on after `step`: what earlier files have of later
    /// steps is no longer shown.
    pub fn create(dir: &Path, step: usize) -> io::Result<Self> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // The process, since two runs may begin within a second.
        let name = format!("events.out.tfevents.{seconds}.{}", std::process::id());
        let mut file = Self { file: OpenOptions::new().append(true).create(true).open(dir.join(name))? };
        file.write(&Record { file_version: Some(FILE_VERSION.into()), ..Record::now(0) })?;
        if step > 0 {
            file.write(&Record { session: Some(Session { status: START }), ..Record::now(step + 1) })?;
        }
        Ok(file)
    }

    /// Adds the scalars of one step, by their tags.
    pub fn scalars(&mut self, step: usize, values: &[(String, f64)]) -> io::Result<()> {
        let value =
            |(tag, value): &(String, f64)| Value { tag: tag.clone(), simple_value: Some(*value as f32) };
        let summary = Summary { values: values.iter().map(value).collect() };
        self.write(&Record { summary: Some(summary), ..Record::now(step) })
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.file.write_all(&frame(&record.encode_to_vec()))
    }
}

impl Record {
    fn now(step: usize) -> Self {
        let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { wall_time, step: step as i64, ..Self::default() }
    }
}

/// A record: length, its checksum, data, their checksum, little-endian.
fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

/// CRC-32C, rotated and shifted so that a checksum of data with checksums in it is none of theirs.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The records of a file, whose checksums must be right.
    fn read(mut bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let (record, rest) = bytes.split_at(12 + length + 4);
            let data = &record[12..12 + length];
            assert_eq!(record, frame(data));
            records.push(Record::decode(data).unwrap());
            bytes = rest;
        }
        records
    }

    #[test]
    fn scalars_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(dir.path(), 20).unwrap();
        file.scalars(40, &[("train/loss".into(), 0.5), ("train/alignment".into(), 0.0)]).unwrap();
        let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let records = read(&fs::read(path).unwrap());
        assert_eq!(records[0].file_version.as_deref(), Some(FILE_VERSION));
        // Steps from 21 on are forgotten where an earlier file has them.
        assert_eq!((records[1].step, records[1].session.as_ref().unwrap().status), (21, START));
        let value = |tag: &str, value| Value { tag: tag.into(), simple_value: Some(value) };
        let expected = [value("train/loss", 0.5), value("train/alignment", 0.0)];
        assert_eq!((records[2].step, &records[2].summary.as_ref().unwrap().values[..]), (40, &expected[..]));
        assert!(records.iter().all(|record| record.wall_time > 1.7e9));
        assert_eq!(records.len(), 3);
    }

    #[test]
    fn frames_are_those_of_tensorflow() {
        // The first record of any event file of version 2 at time 0, as TensorFlow's writer frames it.
        let data = b"\x1a\x0dbrain.Event:2";
        assert_eq!(frame(data)[..8], [15, 0, 0, 0, 0, 0, 0, 0]);
        // RFC 3720, B.4: thirty-two bytes of zeros have the CRC-32C 8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let masked = 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(checksum(&[0; 32]), masked.to_le_bytes());
    }
}
