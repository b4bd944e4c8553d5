//! The attribute `split` of an HDF5 file that fuel's `H5PYDataset` reads: which rows of which dataset are of which split.

use std::ops::Range;

use hdf5_reader::messages::datatype::{CompoundField, Datatype, StringSize};
use hdf5_reader::{Attribute, H5Type};

use crate::data::batch::Split;
use crate::data::error::DataError;
use crate::data::hdf5::{Archive, type_name};

const SPLIT: &str = "split";

/// The splits of a file of `count` samples, in the same ranges of all `sources`.
///
/// Errors: the attribute is not there or has other fields, a split that lacks a source, or has others of its rows, or
/// chosen rows, rows that are not there or of two splits.
pub(super) fn read(
    archive: &Archive,
    count: usize,
    sources: &[&str],
) -> Result<Vec<(Split, Range<usize>)>, DataError> {
    let attribute = archive.attribute(SPLIT)?;
    ranges(&attribute, count, sources)
        .map_err(|reason| DataError::malformed(archive.path(), format!("attribute {SPLIT}: {reason}")))
}

/// One row of the attribute.
struct Row {
    split: String,
    source: String,
    range: Range<i64>,
    /// Whether it is not a range but a choice of rows.
    chosen: bool,
    available: bool,
}

fn ranges(
    attribute: &Attribute,
    count: usize,
    sources: &[&str],
) -> Result<Vec<(Split, Range<usize>)>, String> {
    let rows = rows(attribute)?;
    let mut found: Vec<(Split, Range<usize>)> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for row in &rows {
        if !names.contains(&row.split.as_str()) {
            names.push(&row.split);
        }
    }
    for name in names {
        let split = super::split(name).map_err(|error| error.to_string())?;
        let of_source = |source: &&str| {
            let row = rows.iter().find(|row| row.split == name && row.source == **source);
            row.filter(|row| row.available).ok_or_else(|| format!("{name} has no {source}"))
        };
        let of_sources = sources.iter().map(of_source).collect::<Result<Vec<&Row>, _>>()?;
        let Some(first) = of_sources.first() else { continue };
        if let Some(row) = of_sources.iter().find(|row| row.chosen) {
            return Err(format!("{name} has chosen rows of {}, expected a range", row.source));
        }
        if let Some(row) = of_sources.iter().find(|row| row.range != first.range) {
            return Err(format!(
                "{name} has {:?} of {}, expected {:?} as of {}",
                row.range, row.source, first.range, first.source
            ));
        }
        let Range { start, end } = first.range;
        let within = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let range = within.map(|(start, end)| start..end);
        let range = range.filter(|range| range.start <= range.end && range.end <= count);
        let range = range.ok_or_else(|| format!("{name} is {start}..{end}, expected rows out of {count}"))?;
        let overlaps = |other: &Range<usize>| range.start < other.end && other.start < range.end;
        if let Some((_, other)) = found.iter().find(|(_, other)| overlaps(other)) {
            return Err(format!(
                "{name} is {range:?}, expected none of {other:?}, which are of another split"
            ));
        }
        found.push((split, range));
    }
    Ok(found)
}

fn rows(attribute: &Attribute) -> Result<Vec<Row>, String> {
    let Datatype::Compound { size, fields } = &attribute.datatype else {
        return Err(format!(
            "rows are {}, expected split, source, start, stop, indices, available",
            type_name(&attribute.datatype)
        ));
    };
    let field = |name: &str| {
        let found = fields.iter().find(|field| field.name == name);
        found.ok_or_else(|| format!("no field {name}"))
    };
    let [split, source, start, stop, indices, available] =
        ["split", "source", "start", "stop", "indices", "available"].map(field);
    let (split, source, start, stop, indices, available) =
        (split?, source?, start?, stop?, indices?, available?);
    // A row of no bytes has no field, so there is one at least.
    let rows = attribute.raw_data.chunks_exact((*size as usize).max(1));
    let row = |bytes: &[u8]| {
        Ok(Row {
            split: text(split, bytes)?,
            source: text(source, bytes)?,
            range: number(start, bytes)?..number(stop, bytes)?,
            chosen: raw(indices, bytes)?.iter().any(|byte| *byte != 0),
            available: raw(available, bytes)?.iter().any(|byte| *byte != 0),
        })
    };
    rows.map(row).collect()
}

/// The bytes of a field in a row.
fn raw<'a>(field: &CompoundField, row: &'a [u8]) -> Result<&'a [u8], String> {
    let size = match &field.datatype {
        Datatype::String { size: StringSize::Fixed(size), .. } => *size as usize,
        Datatype::FixedPoint { size, .. } | Datatype::Reference { size, .. } => usize::from(*size),
        Datatype::Enum { base, .. } if matches!(**base, Datatype::FixedPoint { size: 1, .. }) => 1,
        other => {
            return Err(format!("field {} is {}, expected texts or numbers", field.name, type_name(other)));
        }
    };
    let bytes = row.get(field.byte_offset as usize..).and_then(|rest| rest.get(..size));
    bytes.ok_or_else(|| format!("field {} lies outside its row of {} bytes", field.name, row.len()))
}

fn text(field: &CompoundField, row: &[u8]) -> Result<String, String> {
    let bytes = raw(field, row)?;
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn number(field: &CompoundField, row: &[u8]) -> Result<i64, String> {
    i64::from_bytes(raw(field, row)?, &field.datatype)
        .map_err(|_| format!("field {} is {}, expected int64", field.name, type_name(&field.datatype)))
}
