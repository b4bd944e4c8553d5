//! The words that MM-IMDb's HDF5 form has the numbers of: a dictionary of dictionaries in `metadata.npy`, pickled.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_pickle::DeOptions;

use crate::data::error::DataError;

/// How a file that `numpy.save` wrote begins.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The state of an array of numpy that holds one object: version, shape, type, order and what is in it.
#[derive(Deserialize)]
struct State(IgnoredAny, IgnoredAny, IgnoredAny, IgnoredAny, [Metadata; 1]);

/// The object, of which only this is of use.
#[derive(Deserialize)]
struct Metadata {
    ix_to_word: BTreeMap<i64, String>,
}

/// Words by their numbers.
pub(super) fn read(path: &Path) -> Result<Vec<String>, DataError> {
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::malformed(
            path,
            "it is not there, and the HDF5 file has numbers of words only: it is published beside it",
        ),
        _ => DataError::Read { path: path.into(), source },
    })?;
    parse(&bytes).map_err(|reason| DataError::malformed(path, reason))
}

/// The words in the bytes of `metadata.npy`. Errors: what is wrong with it, in words.
pub fn parse(file: &[u8]) -> Result<Vec<String>, String> {
    let pickle = pickle_of(file).ok_or("it does not begin as a file of numpy that holds an object")?;
    // Types of numpy need no meaning here: what is pickled of an array is its state.
    let options = DeOptions::new().decode_strings().replace_unresolved_globals();
    let State(.., [Metadata { ix_to_word: words }]) =
        serde_pickle::from_slice(pickle, options).map_err(|error| format!("pickle: {error}"))?;
    if let Some((number, key)) = (0..).zip(words.keys()).find(|(number, key)| number != *key) {
        let last = words.len() - 1;
        return Err(format!("ix_to_word has {key} as number {number}, expected each of 0 to {last}"));
    }
    Ok(words.into_values().collect())
}

/// What follows the header, where it says that it is an object.
///
/// Source: `numpy.lib.format`: magic, version of two bytes, length of the header in two bytes of version 1 and in
/// four of later ones, the header as a dictionary of Python.
fn pickle_of(file: &[u8]) -> Option<&[u8]> {
    let [major, _minor, rest @ ..] = file.strip_prefix(MAGIC)? else { return None };
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length).into(), rest))?,
        _ => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))?,
    };
    let (header, pickle) = rest.split_at_checked(length)?;
    header.windows(4).any(|part| part == b"'|O'").then_some(pickle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `numpy.save` around a pickle of protocol 0, in the state of an array.
    fn file(objects: &str) -> Vec<u8> {
        const HEADER: &str = "{'descr': '|O', 'fortran_order': False, 'shape': (), }\n";
        let head = [MAGIC, &[1, 0], &(HEADER.len() as u16).to_le_bytes(), HEADER.as_bytes()].concat();
        // A tuple of four things of no use and of a list.
        [head, format!("(I1\n(tNI00\n(l{objects}t.").into_bytes()].concat()
    }

    #[test]
    fn words_are_numbered_without_a_gap() {
        let metadata = |words: &str| file(&format!("(dVix_to_word\n(d{words}ssa"));
        assert_eq!(parse(&metadata("I0\nVcaf\\u00e9\nsI1\nVN\n")).unwrap(), ["café", "N"]);
        let wrong = |file: &[u8], expected: &str| {
            let error = parse(file).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        wrong(&metadata("I0\nVa\nsI2\nVb\n"), "ix_to_word has 2 as number 1, expected each of 0 to 1");
        wrong(&metadata("I0\nI1\n"), "expected a string");
        wrong(&file("(dVwords\nI1\nsa"), "missing field `ix_to_word`");
        wrong(&file(""), "expected an array of length 1");
        wrong(&metadata("I0\nVa\n")[..80], "pickle: ");
        wrong(b"\x93NUMPY\x01\x00\xff\xff", "it does not begin as a file of numpy");
        wrong(b"PK", "it does not begin as a file of numpy");
    }
}
