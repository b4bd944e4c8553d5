//! UPMC Food-101 (Wang et al. 2015): a title and a picture of a page about a dish.

use std::path::Path;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;

use super::{Content, FieldError, Item, Listing, columns, place_of, sorted};
use crate::data::batch::Split;
use crate::data::error::DataError;

const PARTS: [(&str, Split); 2] = [("train", Split::Train), ("test", Split::Test)];

pub(super) fn list(root: &Path) -> Result<Listing, DataError> {
    let mut rows = Vec::new();
    for (part, split) in PARTS {
        let file = format!("texts/{part}_titles.csv");
        let path = root.join(&file);
        for record in columns::read(&path)? {
            let at = |error: FieldError| error.at(&path, record.line);
            let picture = record.field(0, "picture").map_err(at)?;
            let title = record.field(1, "title").map_err(at)?;
            let class = record.field(2, "class").map_err(at)?;
            let plain = |text: &str| !text.is_empty() && !text.contains('/');
            if !plain(picture) {
                return Err(at(FieldError::new("picture", picture, "a file name")));
            }
            if !plain(class) {
                return Err(at(FieldError::new("class", class, "a folder's name")));
            }
            let image = root.join("images").join(part).join(class).join(picture);
            let contents = vec![Some(Content::File(image)), Some(Content::Text(title.to_owned()))];
            let listed = format!("{file} line {}", record.line);
            rows.push((split, class.to_owned(), listed, picture.to_owned(), contents));
        }
    }
    let labels = sorted(rows.iter().map(|(_, class, ..)| class.as_str()));
    let item = |(split, class, listed, name, contents): (Split, String, _, _, _)| Item {
        name,
        split,
        labels: vec![place_of(&labels, &class)],
        listed,
        contents,
    };
    Ok(Listing {
        description: format!("UPMC Food-101, {} classes", labels.len()),
        task: Task::Multiclass,
        items: rows.into_iter().map(item).collect(),
        modalities: vec![("image".into(), Kind::Image), ("text".into(), Kind::Text)],
        labels,
    })
}
