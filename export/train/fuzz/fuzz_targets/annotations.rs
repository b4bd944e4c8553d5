//! Whatever the annotations of a published set say: a listing in which every place is one, or an error, no panic.
//!
//! Run with `cargo +nightly fuzz run --sanitizer none annotations` in `export/train`.
#![no_main]

use std::fs;
use std::path::Path;

use arbitrary::Arbitrary;
use cmpt_bundle::manifest::Task;
use cmpt_train::data::published::{Form, Holdout, Listing};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    set: Set<'a>,
    validation: u8,
    seed: u64,
}

#[derive(Arbitrary, Debug)]
enum Set<'a> {
    CremaD { clips: Vec<Text<'a>> },
    Ave { annotations: Text<'a>, train: Text<'a>, validation: Text<'a>, test: Text<'a> },
    KineticsSounds { train: Text<'a>, test: Text<'a> },
    UpmcFood101 { train: Text<'a>, test: Text<'a> },
    MmImdb { splits: Text<'a>, film: Text<'a> },
    JsonLines { lines: Text<'a> },
    Csv { lines: Text<'a> },
}

/// A text of what annotations consist of, and of anything.
#[derive(Arbitrary, Debug)]
struct Text<'a>(Vec<Piece<'a>>);

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Known(u8),
    Any(&'a [u8]),
}

#[rustfmt::skip] // a piece a line would be 50 lines
const KNOWN: [&[u8]; 50] = [
    b"\n", b"\r\n", b",", b"&", b"\"", b"|", b":", b"_", b" ", b"{", b"}", b"[", b"]", b"null", b"0", b"10", b"-1",
    b"1e9", b"1001", b"DFA", b"ANG", b"SAD", b"XX", b"1001_DFA_ANG_XX", b"Category&VideoID&Quality&StartTime&EndTime",
    b"Bark&a-_45678901&good&2&8\n", b"Church bell", b"good", b"label,youtube_id,time_start,time_end,split\n",
    b"tap dancing,id000000001,10,20,train\n", b"singing", b"id000000001", b"a.jpg,A title,pizza\n",
    b"\"train\"", b"\"dev\"", b"\"test\"", b"\"1\"", b"{\"train\": [\"1\"], \"test\": [\"1\"]}",
    b"{\"genres\": [\"War\"], \"plot\": [\"A plot\"]}", b"\"genres\"", b"\"plot\"",
    b"{\"split\": \"train\", \"label\": \"a\", \"audio\": \"1.wav\"}\n", b"split", b"labels", b"label", b"text",
    b"video:face", b"image", b"split,labels,text\n", b"train,war|drama,A plot\n",
];

fuzz_target!(|input: Input| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Some names are none to the file system.
    let Ok(form) = input.set.write(folder.path()) else { return };
    let holdout = Holdout { validation: f64::from(input.validation) / 256.0, seed: input.seed };
    if let Ok(listing) = form.list(folder.path(), holdout) {
        check(&listing);
    }
});

fn check(listing: &Listing) {
    for item in &listing.items {
        assert_eq!(item.contents.len(), listing.modalities.len(), "{item:?}");
        assert!(item.labels.iter().all(|label| *label < listing.labels.len()), "{item:?}");
        assert!(listing.task == Task::Multilabel || item.labels.len() == 1, "{item:?}");
    }
}

impl Set<'_> {
    fn write(&self, root: &Path) -> std::io::Result<Form> {
        for (path, text) in self.files() {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder"))?;
            fs::write(path, text)?;
        }
        Ok(self.form(root))
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let file = |path: &str, text: &Text| (path.to_owned(), text.bytes());
        match self {
            Self::CremaD { clips } => {
                let name = |clip: &Text| String::from_utf8_lossy(&clip.bytes()).replace('/', "");
                clips.iter().map(|clip| (format!("AudioWAV/{}.wav", name(clip)), Vec::new())).collect()
            }
            Self::Ave { annotations, train, validation, test } => vec![
                file("Annotations.txt", annotations),
                file("trainSet.txt", train),
                file("valSet.txt", validation),
                file("testSet.txt", test),
            ],
            Self::KineticsSounds { train, test } => {
                vec![file("annotations/train.csv", train), file("annotations/test.csv", test)]
            }
            Self::UpmcFood101 { train, test } => {
                vec![file("texts/train_titles.csv", train), file("texts/test_titles.csv", test)]
            }
            Self::MmImdb { splits, film } => vec![file("split.json", splits), file("dataset/1.json", film)],
            Self::JsonLines { lines } => vec![file("set.jsonl", lines)],
            Self::Csv { lines } => vec![file("set.csv", lines)],
        }
    }

    fn form(&self, root: &Path) -> Form {
        match self {
            Self::CremaD { .. } => Form::CremaD,
            Self::Ave { .. } => Form::Ave,
            Self::KineticsSounds { .. } => Form::KineticsSounds,
            Self::UpmcFood101 { .. } => Form::UpmcFood101,
            Self::MmImdb { .. } => Form::MmImdb,
            Self::JsonLines { .. } => Form::Manifest(root.join("set.jsonl")),
            Self::Csv { .. } => Form::Manifest(root.join("set.csv")),
        }
    }
}

impl Text<'_> {
    fn bytes(&self) -> Vec<u8> {
        let piece = |piece: &Piece| match piece {
            Piece::Known(number) => KNOWN[usize::from(*number) % KNOWN.len()].to_vec(),
            Piece::Any(bytes) => bytes.to_vec(),
        };
        self.0.iter().flat_map(piece).collect()
    }
}
