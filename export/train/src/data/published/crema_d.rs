//! CREMA-D (Cao et al. 2014): `AudioWAV/{name}.wav` and `VideoFlash/{name}.flv`, labelled by their names.
//!
//! The set has no splits. Ours go by actor: nobody who is tested on was heard or seen in training. The
//! split that is common in the literature is by clip; a manifest gives that one.

use std::collections::BTreeSet;
use std::path::Path;

use cmpt_bundle::manifest::Task;
use cmpt_core::modality::Kind;
use fastrand::Rng;

use super::{Content, FieldError, Holdout, Item, Listing};
use crate::data::batch::Split;
use crate::data::error::DataError;
use crate::data::seed;

const AUDIO: &str = "AudioWAV";
const VIDEO: &str = "VideoFlash";
const EMOTIONS: [(&str, &str); 6] = [
    ("ANG", "angry"),
    ("DIS", "disgust"),
    ("FEA", "fear"),
    ("HAP", "happy"),
    ("NEU", "neutral"),
    ("SAD", "sad"),
];
const LEVELS: [&str; 5] = ["LO", "MD", "HI", "XX", "X"];
/// The part of the actors that is tested on, as much as the usual split by clip has of clips.
const TEST_ACTORS: f64 = 0.1;

/// Actor and emotion of a name such as `1001_DFA_ANG_XX`; the emotion is a place in the list of labels.
pub fn parse_name(stem: &str) -> Result<(u32, usize), FieldError> {
    let parts: Vec<&str> = stem.split('_').collect();
    let [actor, sentence, emotion, level] = parts[..] else {
        return Err(FieldError::new("file name", stem, "`actor_sentence_emotion_level`"));
    };
    let number = actor.parse().ok().filter(|_| actor.len() == 4 && actor.bytes().all(|b| b.is_ascii_digit()));
    let number = number.ok_or_else(|| FieldError::new("actor", actor, "four digits"))?;
    if sentence.len() != 3 || !sentence.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(FieldError::new("sentence", sentence, "three capitals"));
    }
    let emotion = EMOTIONS.iter().position(|(code, _)| *code == emotion).ok_or_else(|| {
        FieldError::new("emotion", emotion, format!("one of {:?}", EMOTIONS.map(|(code, _)| code)))
    })?;
    match LEVELS.contains(&level) {
        true => Ok((number, emotion)),
        false => Err(FieldError::new("level", level, format!("one of {LEVELS:?}"))),
    }
}

pub(super) fn list(root: &Path, holdout: Holdout) -> Result<Listing, DataError> {
    let folder = root.join(AUDIO);
    let unreadable = |source| DataError::Read { path: folder.clone(), source };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "wav") {
            names.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    if names.is_empty() {
        return Err(DataError::malformed(
            folder,
            "no .wav file, expected `1001_DFA_ANG_XX.wav` and the like",
        ));
    }
    let mut items = Vec::new();
    let mut actors = BTreeSet::new();
    for name in names {
        let audio = folder.join(format!("{name}.wav"));
        let (actor, emotion) =
            parse_name(&name).map_err(|error| DataError::malformed(&audio, error.to_string()))?;
        let video = root.join(VIDEO).join(format!("{name}.flv"));
        actors.insert(actor);
        items.push((
            actor,
            Item {
                split: Split::Train,
                labels: vec![emotion],
                listed: AUDIO.into(),
                contents: vec![Some(Content::File(audio)), Some(Content::File(video))],
                name,
            },
        ));
    }
    let (test, validation) = held_out(actors, holdout);
    let place = |(actor, item): (u32, Item)| match actor {
        actor if test.contains(&actor) => Item { split: Split::Test, ..item },
        actor if validation.contains(&actor) => Item { split: Split::Validation, ..item },
        _ => item,
    };
    Ok(Listing {
        description: format!("CREMA-D; tested on actors {test:?}, validated on actors {validation:?}"),
        task: Task::Multiclass,
        labels: EMOTIONS.map(|(_, label)| label.to_owned()).into(),
        modalities: vec![("audio".into(), Kind::Audio), ("video".into(), Kind::Video)],
        items: items.into_iter().map(place).collect(),
    })
}

/// Actors to test on and to validate on.
fn held_out(actors: BTreeSet<u32>, holdout: Holdout) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let mut actors: Vec<u32> = actors.into_iter().collect();
    Rng::with_seed(seed::mix(&[holdout.seed, TEST_ACTORS.to_bits()])).shuffle(&mut actors);
    let test = Holdout { validation: TEST_ACTORS, ..holdout }.count(actors.len());
    let rest = actors.split_off(test);
    let validation = rest.iter().take(holdout.count(rest.len())).copied();
    (actors.into_iter().collect(), validation.collect())
}
