//! AVE (Tian et al. 2018): annotations separated by `&`, one list per split, videos of ten seconds.

use std::path::Path;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;

use super::{Content, FieldError, Item, Listing, place_of, read_text, sorted};
use crate::data::batch::Split;
use crate::data::error::DataError;

const LISTS: [(&str, Split); 3] =
    [("trainSet.txt", Split::Train), ("valSet.txt", Split::Validation), ("testSet.txt", Split::Test)];
const ANNOTATIONS: &str = "Annotations.txt";
const HEADER: &str = "Category&VideoID&Quality&StartTime&EndTime";
/// Length of every video in seconds.
const LONGEST: f64 = 10.0;

/// Category and video of a line such as `Church bell&RUhOCu3LNXM&good&0&10`.
pub fn parse_line(line: &str) -> Result<(&str, &str), FieldError> {
    let parts: Vec<&str> = line.split('&').collect();
    let [category, video, _quality, start, end] = parts[..] else {
        return Err(FieldError::new("line", line, format!("`{HEADER}`")));
    };
    if category.is_empty() {
        return Err(FieldError::new("Category", category, "a name"));
    }
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if video.is_empty() || !video.bytes().all(is_of_name) {
        return Err(FieldError::new("VideoID", video, "letters, digits, `-` and `_`"));
    }
    let second = |field, text: &str| {
        let parsed = text.parse().ok().filter(|second| (0.0..=LONGEST).contains(second));
        parsed.ok_or_else(|| FieldError::new(field, text, format!("0 to {LONGEST} seconds")))
    };
    let (from, to) = (second("StartTime", start)?, second("EndTime", end)?);
    match from <= to {
        true => Ok((category, video)),
        false => Err(FieldError::new("EndTime", end, format!("{from} or later"))),
    }
}

pub(super) fn list(root: &Path) -> Result<Listing, DataError> {
    let mut found = Vec::new();
    for (list, split) in LISTS {
        let path = root.join(list);
        let text = read_text(&path)?;
        for (line, category, video) in lines(&path, &text)? {
            found.push((split, format!("{list} line {line}"), category.to_owned(), video.to_owned()));
        }
    }
    // The classes are those of all annotations, so that they do not depend on a split.
    let path = root.join(ANNOTATIONS);
    let text = read_text(&path)?;
    let annotated = lines(&path, &text)?;
    let labels = sorted(annotated.iter().map(|(_, category, _)| *category));
    let mut items = Vec::new();
    for (split, listed, category, video) in found {
        if !labels.contains(&category) {
            let reason = format!("Category is {category:?}, expected one that {ANNOTATIONS} has");
            return Err(DataError::malformed(root.join(listed), reason));
        }
        let file = || Some(Content::File(root.join("AVE").join(format!("{video}.mp4"))));
        items.push(Item {
            // A video with two events is listed twice.
            name: format!("{video} {category}"),
            split,
            labels: vec![place_of(&labels, &category)],
            listed,
            contents: vec![file(), file()],
        });
    }
    Ok(Listing {
        description: "AVE; the whole of each video under its event".into(),
        task: Task::Multiclass,
        labels,
        modalities: vec![("audio".into(), Kind::Audio), ("video".into(), Kind::Video)],
        items,
    })
}

/// Number, category and video of each line, without a header and empty lines.
fn lines<'a>(path: &Path, text: &'a str) -> Result<Vec<(usize, &'a str, &'a str)>, DataError> {
    let lines = text.lines().map(str::trim).zip(1..);
    let filled = lines.filter(|(line, _)| !line.is_empty() && *line != HEADER);
    let parse = |(line, number): (&'a str, usize)| {
        let (category, video) = parse_line(line).map_err(|error| error.at(path, number))?;
        Ok((number, category, video))
    };
    filled.map(parse).collect()
}
