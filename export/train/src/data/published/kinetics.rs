//! Kinetics-Sounds (Arandjelovic and Zisserman 2017): the classes of Kinetics that can be heard.
//!
//! Splits are those of Kinetics' own files; the validation split is cut from the training split where
//! `val.csv` is not there. The clips that the literature tests on are not published as a list.

use std::path::{Path, PathBuf};

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;

use super::columns::{self, Record};
use super::{Content, FieldError, Item, Listing, place_of};
use crate::data::batch::Split;
use crate::data::error::DataError;

/// CSV files, the folders their clips may be in, and their splits.
const FILES: [(&str, &[&str], Split); 3] = [
    ("train.csv", &["train"], Split::Train),
    ("val.csv", &["val", "validate"], Split::Validation),
    ("test.csv", &["test"], Split::Test),
];
const HEADER: [&str; 5] = ["label", "youtube_id", "time_start", "time_end", "split"];

#[rustfmt::skip] // a class a line would be 31 lines
const CLASSES: [&str; 31] = [
    "blowing nose", "blowing out candles", "bowling", "chopping wood", "dribbling basketball", "laughing",
    "mowing lawn", "playing accordion", "playing bagpipes", "playing bass guitar", "playing clarinet",
    "playing drums", "playing guitar", "playing harmonica", "playing keyboard", "playing organ",
    "playing piano", "playing saxophone", "playing trombone", "playing trumpet", "playing violin",
    "playing xylophone", "ripping paper", "shoveling snow", "shuffling cards", "singing", "stomping grapes",
    "tap dancing", "tapping guitar", "tapping pen", "tickling",
];

pub(super) fn list(root: &Path) -> Result<Listing, DataError> {
    let labels: Vec<String> = CLASSES.map(str::to_owned).into();
    let mut items = Vec::new();
    for (file, folders, split) in FILES {
        let path = [root.join("annotations").join(file), root.join(file)];
        let Some(path) = path.iter().find(|path| path.exists()) else {
            if split == Split::Train {
                // Its error names the file.
                super::read_text(&path[0])?;
            }
            continue;
        };
        for record in columns::read(path)? {
            let row = Row::parse(&record).map_err(|error| error.at(path, record.line))?;
            let Some(row) = row.filter(|row| CLASSES.contains(&row.label)) else { continue };
            let clip = row.clip();
            let video = Content::File(find(root, folders, row.label, &clip));
            items.push(Item {
                name: clip,
                split,
                labels: vec![place_of(&labels, row.label)],
                listed: format!("{file} line {}", record.line),
                contents: vec![Some(video.clone()), Some(video)],
            });
        }
    }
    Ok(Listing {
        description: "Kinetics-Sounds: 31 classes of Kinetics, in Kinetics' splits".into(),
        task: Task::Multiclass,
        labels,
        modalities: vec![("audio".into(), Kind::Audio), ("video".into(), Kind::Video)],
        items,
    })
}

/// A line of Kinetics' files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row<'a> {
    label: &'a str,
    video: &'a str,
    start_s: u32,
    end_s: u32,
}

impl<'a> Row<'a> {
    /// `None` for the header.
    fn parse(record: &'a Record) -> Result<Option<Self>, FieldError> {
        if record.fields.iter().take(5).eq(&HEADER) {
            return Ok(None);
        }
        let second = |column, name| {
            let text = record.field(column, name)?;
            text.parse::<u32>().map_err(|_| FieldError::new(name, text, "whole seconds"))
        };
        let video = record.field(1, HEADER[1])?;
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if video.len() != 11 || !video.bytes().all(is_of_name) {
            return Err(FieldError::new(HEADER[1], video, "11 letters, digits, `-` or `_`"));
        }
        let (start_s, end_s) = (second(2, HEADER[2])?, second(3, HEADER[3])?);
        if end_s <= start_s {
            return Err(FieldError::new(HEADER[3], end_s.to_string(), format!("more than {start_s}")));
        }
        Ok(Some(Self { label: record.field(0, HEADER[0])?, video, start_s, end_s }))
    }

    /// The name of its file without the extension.
    fn clip(&self) -> String {
        format!("{}_{:06}_{:06}", self.video, self.start_s, self.end_s)
    }
}

/// Where a clip lies: in the split's folder, or in its class's folder there. Where it is in none, the
/// first of these, for the error that follows.
fn find(root: &Path, folders: &[&str], label: &str, clip: &str) -> PathBuf {
    let file = format!("{clip}.mp4");
    let of_class = [label.to_owned(), label.replace(' ', "_")];
    let mut candidates = folders.iter().flat_map(|folder| {
        let folder = root.join(folder);
        let classes = of_class.iter().map(|class| folder.join(class).join(&file)).collect::<Vec<_>>();
        std::iter::once(folder.join(&file)).chain(classes)
    });
    let found = candidates.clone().find(|path| path.exists());
    found.or_else(|| candidates.next()).expect("every split has a folder")
}
