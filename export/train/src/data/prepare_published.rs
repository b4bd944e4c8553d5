//! `cmpt-train prepare`, of published sets: listed, decoded into a cache, and described beside it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use cmpt_bundle::manifest::FrontEnd;
use cmpt_core::modality::Kind;

use super::batch::{ModalityInfo, Split};
use super::error::DataError;
use super::media::{self, Gathering, LeftOut, Limits, MediaStore, Tokenize};
use super::published::{Form, Holdout, Listing};
use super::word_piece::WordPiece;
use crate::encoder::family::Family;

/// Where the samples that were left out are named.
const LEFT_OUT: &str = "left-out.jsonl";
/// Frames of a clip that are encoded, as in the paper.
const FRAMES: usize = 3;

/// Options of every published set.
#[derive(Args, Clone, Debug)]
pub struct Published {
    /// Folder in which the set lies as it was published.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Folder to write. What an interrupted run decoded there is not decoded again.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The part of the training samples (of CREMA-D: of the actors) that becomes the validation split,
    /// where the set has none.
    #[arg(long, default_value_t = 0.1)]
    validation: f64,
    /// Decides which those are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Samples that may be left out because a file of theirs cannot be decoded.
    #[arg(long, default_value_t = 10)]
    max_corrupt: usize,
    /// Samples that may be left out because a file of theirs is listed and not there.
    #[arg(long, default_value_t = 0)]
    max_absent: usize,
    /// Frames kept of every clip, out of which training draws.
    #[arg(long, default_value_t = 10)]
    frames_kept: usize,
    /// BERT's `vocab.txt`, for sets with text.
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Tokens of a text, padding included [default: the recipe's, else 128]
    #[arg(long)]
    tokens: Option<usize>,
    /// JSON list of modalities with their front ends, as in a checkpoint's `model.json` [default: those of
    /// CLIP ViT-B/16, AST and BERT base]
    #[arg(long, value_name = "FILE")]
    modalities: Option<PathBuf>,
    /// Threads that decode [default: one per core]
    #[arg(long)]
    workers: Option<usize>,
}

/// Options of `prepare manifest`.
#[derive(Args, Clone, Debug)]
pub struct Manifest {
    /// The manifest, .jsonl or .csv; its paths are relative to the root.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Pictures mean the same in a mirror, and training may see them so.
    #[arg(long)]
    mirror: bool,
    #[command(flatten)]
    published: Published,
}

impl Manifest {
    /// Prepares the set.
    pub fn run(&self) -> Result<(), DataError> {
        self.published.prepare(&Form::Manifest(self.manifest.clone()), self.mirror)
    }
}

impl Published {
    /// Prepares a set of photographs and films, which mean the same in a mirror.
    pub fn run(&self, form: &Form) -> Result<(), DataError> {
        self.prepare(form, true)
    }

    fn prepare(&self, form: &Form, mirror: bool) -> Result<(), DataError> {
        MediaStore::refuse_existing(&self.out)?;
        if !(0.0..1.0).contains(&self.validation) {
            let found = self.validation;
            return Err(DataError::unusable(format!(
                "--validation is {found}, expected 0 or more and less than 1"
            )));
        }
        let listing = form.list(&self.root, Holdout { validation: self.validation, seed: self.seed })?;
        let modalities = self.modalities(form, &listing)?;
        let cores = || thread::available_parallelism().map_or(1, |cores| cores.get());
        let tokenize = self.tokenizer(&modalities)?;
        let gathering = Gathering {
            listing: &listing,
            modalities: &modalities,
            tokenize: tokenize.as_deref(),
            kept: self.frames_kept,
            mirror,
            limits: Limits { corrupt: self.max_corrupt, absent: self.max_absent },
            workers: self.workers.unwrap_or_else(cores),
        };
        let (store, left_out) = media::gather(&gathering, &self.out)?;
        let path = self.out.join(LEFT_OUT);
        write_left_out(&path, &left_out).map_err(|source| DataError::Write { path, source })?;
        store.write(&self.out)?;
        report(&self.out, &store, &left_out);
        Ok(())
    }

    /// The modalities of the listing, with the front ends that are wanted.
    fn modalities(&self, form: &Form, listing: &Listing) -> Result<Vec<ModalityInfo>, DataError> {
        let Some(path) = &self.modalities else {
            let tokens = self.tokens.unwrap_or(match form {
                Form::UpmcFood101 => 40,
                Form::MmImdb => 256,
                _ => 128,
            });
            return listing
                .modalities
                .iter()
                .map(|(name, kind)| published_front_end(name, *kind, tokens))
                .collect();
        };
        let json = std::fs::read(path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        let given: Vec<ModalityInfo> =
            serde_json::from_slice(&json).map_err(|error| DataError::malformed(path, error.to_string()))?;
        let wanted = |(name, kind): &(String, Kind)| {
            let found = given.iter().find(|info| info.name == *name && info.kind == *kind).cloned();
            found.ok_or_else(|| DataError::malformed(path, format!("no modality {name} of {kind:?}")))
        };
        listing.modalities.iter().map(wanted).collect()
    }

    /// What reads texts, where a vocabulary is given and there are any.
    fn tokenizer(&self, modalities: &[ModalityInfo]) -> Result<Option<Box<Tokenize>>, DataError> {
        let spec = modalities.iter().find_map(|modality| match &modality.front_end {
            FrontEnd::WordPiece(spec) => Some(spec),
            FrontEnd::LogMel(_) | FrontEnd::Picture(_) => None,
        });
        let Some((spec, vocabulary)) = spec.zip(self.vocabulary.as_ref()) else { return Ok(None) };
        let reader = WordPiece::open(vocabulary, spec)?;
        // Exact: the features are numbers of tokens.
        let tokenize =
            move |text: &str| reader.features(text).into_iter().map(|token| token as u32).collect();
        Ok(Some(Box::new(tokenize)))
    }
}

/// The front end of the paper's encoder for a kind of signal.
fn published_front_end(name: &str, kind: Kind, tokens: usize) -> Result<ModalityInfo, DataError> {
    let family = match kind {
        Kind::Audio => Family::Ast,
        Kind::Video | Kind::Image => Family::ClipVit,
        Kind::Text => Family::Bert,
    };
    let (_, front_end) = family
        .base(tokens)
        .map_err(|error| DataError::unusable(format!("modality {name} of {tokens} tokens: {error}")))?;
    let frames = if kind == Kind::Video { FRAMES } else { 1 };
    Ok(ModalityInfo { name: name.into(), kind, front_end, frames })
}

fn write_left_out(path: &Path, left_out: &[LeftOut]) -> io::Result<()> {
    let mut lines = BufWriter::new(File::create(path)?);
    for sample in left_out {
        serde_json::to_writer(&mut lines, sample)?;
        writeln!(lines)?;
    }
    lines.flush()
}

/// What is in the set, on stderr.
fn report(out: &Path, store: &MediaStore, left_out: &[LeftOut]) {
    eprintln!("{}: {}", out.display(), store.header.description);
    for split in [Split::Train, Split::Validation, Split::Test] {
        eprintln!("  {split:?}: {}", store.rows.iter().filter(|row| row.split == split).count());
    }
    for sample in left_out {
        eprintln!("  left out, {}: {}", sample.listed, sample.reason);
    }
}
