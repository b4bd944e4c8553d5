//! A listing into a set on disk: every file decoded once, by several threads, and those that cannot be counted.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cmpt_bundle::manifest::FrontEnd;
use indicatif::ProgressBar;
use serde::Serialize;

use super::cache::{Cache, Decoded};
use super::decode::{DecodeError, Decoder};
use super::store::{FORMAT_VERSION, Header, MediaStore, Part, Row};
use crate::data::batch::ModalityInfo;
use crate::data::error::DataError;
use crate::data::published::{Content, Item, Listing, Poster};

/// A text into the numbers of its tokens.
pub type Tokenize = dyn Fn(&str) -> Vec<u32> + Sync;

/// Left-out samples that are named in an error.
const NAMED: usize = 5;

/// How many samples may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a file that is there and cannot be decoded.
    pub corrupt: usize,
    /// For a file that is listed and not there.
    pub absent: usize,
}

/// What is gathered, and how.
pub struct Gathering<'a> {
    /// The samples.
    pub listing: &'a Listing,
    /// Their modalities with front ends, in the order of the listing.
    pub modalities: &'a [ModalityInfo],
    /// Reads texts, where there are any.
    pub tokenize: Option<&'a Tokenize>,
    /// Frames kept of a clip.
    pub kept: usize,
    /// Whether training may mirror pictures.
    pub mirror: bool,
    /// How many samples may be left out.
    pub limits: Limits,
    /// Threads that decode.
    pub workers: usize,
}

/// A sample that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Where it is listed.
    pub listed: String,
    /// Why.
    pub reason: String,
    #[serde(skip)]
    absent: bool,
}

/// Decodes what is not in the cache of `folder` yet. Nothing else is written there.
///
/// A sample one of whose files is absent or corrupt is left out as a whole, so that what the set calls complete
/// is complete.
///
/// Errors: more are left out than `limits` allow; a file that this build cannot decode; a cache that cannot be
/// written; text without `tokenize`.
pub fn gather(gathering: &Gathering<'_>, folder: &Path) -> Result<(MediaStore, Vec<LeftOut>), DataError> {
    let Gathering { listing, modalities, .. } = gathering;
    let is_text = |modality: &&ModalityInfo| matches!(modality.front_end, FrontEnd::WordPiece(_));
    if let Some(text) = modalities.iter().find(is_text).filter(|_| gathering.tokenize.is_none()) {
        return Err(DataError::unusable(format!("modality {} is text, expected a vocabulary", text.name)));
    }
    let cache = Cache::new(MediaStore::cache_at(folder));
    let outcomes = gathering.outcomes(&cache)?;
    let mut rows = Vec::new();
    let mut left_out = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Row(row) => rows.push(row),
            Outcome::LeftOut(sample) => left_out.push(sample),
        }
    }
    gathering.check_limits(&left_out)?;
    let header = Header {
        format_version: FORMAT_VERSION,
        description: listing.description.clone(),
        task: listing.task,
        labels: listing.labels.clone(),
        modalities: modalities.to_vec(),
        mirror: gathering.mirror,
        left_out: left_out.len(),
    };
    Ok((MediaStore { header, rows, cache }, left_out))
}

enum Outcome {
    Row(Row),
    LeftOut(LeftOut),
}

impl Gathering<'_> {
    /// What becomes of each item, in order; where a limit is exceeded, of those that were looked at.
    fn outcomes(&self, cache: &Cache) -> Result<Vec<Outcome>, DataError> {
        let count = self.listing.items.len();
        let (next, absent, corrupt) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let bar = ProgressBar::new(count as u64);
        let work = || {
            let mut decoders = self.decoders()?;
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let exceeded = absent.load(Ordering::Relaxed) > self.limits.absent
                    || corrupt.load(Ordering::Relaxed) > self.limits.corrupt;
                let Some(item) = self.listing.items.get(index).filter(|_| !exceeded) else {
                    return Ok(outcomes);
                };
                let outcome = self.outcome(item, &mut decoders, cache).inspect_err(|_| {
                    // The others need not go on either.
                    next.store(count, Ordering::Relaxed);
                })?;
                if let Outcome::LeftOut(sample) = &outcome {
                    let counter = if sample.absent { &absent } else { &corrupt };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                outcomes.push((index, outcome));
                bar.inc(1);
            }
        };
        let mut all: Vec<(usize, Outcome)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.workers.max(1)).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::new();
            for worker in workers {
                let outcomes: Result<Vec<_>, DataError> = worker.join().expect("decoding does not panic");
                all.extend(outcomes?);
            }
            Ok::<_, DataError>(all)
        })?;
        bar.finish_and_clear();
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, outcome)| outcome).collect())
    }

    fn decoders(&self) -> Result<Vec<Option<Decoder>>, DataError> {
        self.modalities.iter().map(|modality| Decoder::new(modality, self.kept)).collect()
    }

    fn outcome(
        &self,
        item: &Item,
        decoders: &mut [Option<Decoder>],
        cache: &Cache,
    ) -> Result<Outcome, DataError> {
        let mut parts = Vec::new();
        for (content, decoder) in item.contents.iter().zip(decoders) {
            let part = match (content, decoder, self.tokenize) {
                (None, ..) => Ok(None),
                (Some(Content::Text(text)), None, Some(tokenize)) => Ok(Some(Part::Tokens(tokenize(text)))),
                (Some(Content::File(path)), Some(decoder), _) => cached(path, decoder, cache)?.map(Some),
                (Some(Content::Poster(poster)), Some(decoder), _) => {
                    cached_poster(poster, decoder, cache)?.map(Some)
                }
                (Some(content), ..) => {
                    let reason = format!("sample {}: {content:?} for another kind of modality", item.name);
                    return Err(DataError::unusable(reason));
                }
            };
            match part {
                Ok(part) => parts.push(part),
                Err(error @ DecodeError::Unsupported { .. }) => {
                    return Err(DataError::unusable(format!("sample {}: {error}", item.name)));
                }
                Err(error) => {
                    return Ok(Outcome::LeftOut(LeftOut {
                        name: item.name.clone(),
                        listed: item.listed.clone(),
                        absent: matches!(error, DecodeError::Absent { .. }),
                        reason: error.to_string(),
                    }));
                }
            }
        }
        let (name, labels) = (item.name.clone(), item.labels.clone());
        Ok(Outcome::Row(Row { name, split: item.split, labels, parts }))
    }

    fn check_limits(&self, left_out: &[LeftOut]) -> Result<(), DataError> {
        for (kind, argument, limit, absent) in [
            ("corrupt", "--max-corrupt", self.limits.corrupt, false),
            ("absent", "--max-absent", self.limits.absent, true),
        ] {
            let found: Vec<&LeftOut> = left_out.iter().filter(|sample| sample.absent == absent).collect();
            if found.len() > limit {
                let named =
                    found.iter().take(NAMED).map(|sample| format!("{}: {}", sample.listed, sample.reason));
                let named = named.collect::<Vec<_>>().join("; ");
                return Err(DataError::unusable(format!(
                    "more than {limit} samples are {kind} ({argument}): {named}"
                )));
            }
        }
        Ok(())
    }
}

/// The part of a file: from the cache, or decoded into it.
fn cached(path: &Path, decoder: &mut Decoder, cache: &Cache) -> Result<Result<Part, DecodeError>, DataError> {
    let key = match Cache::key(path, decoder.decoding()) {
        Ok(key) => key,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err(DecodeError::Absent { path: path.into() }));
        }
        Err(error) => return Ok(Err(DecodeError::Corrupt { path: path.into(), reason: error.to_string() })),
    };
    kept(cache, key, || decoder.decode(path))
}

/// The part of a poster: from the cache, or decoded into it.
fn cached_poster(
    poster: &Poster,
    decoder: &mut Decoder,
    cache: &Cache,
) -> Result<Result<Part, DecodeError>, DataError> {
    let picture = match poster.read() {
        Ok(picture) => picture,
        Err(reason) => return Ok(Err(DecodeError::Corrupt { path: poster.path().into(), reason })),
    };
    let key = Cache::key_of_picture(&picture, decoder.decoding());
    kept(cache, key, || decoder.decode_picture(poster.path(), &picture))
}

fn kept(
    cache: &Cache,
    key: String,
    decode: impl FnOnce() -> Result<Decoded, DecodeError>,
) -> Result<Result<Part, DecodeError>, DataError> {
    if !cache.contains(&key) {
        match decode() {
            Ok(decoded) => cache.write(&key, &decoded)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(Part::Cached(key)))
}
