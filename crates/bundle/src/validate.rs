//! The rules of a manifest that its types do not hold.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use cmpt_core::features::{LogMel, MelError, PictureError, PictureFrontEnd};
use cmpt_core::modality::{Kind, ModalitySet};

use crate::MANIFEST;
use crate::error::Problems;
use crate::manifest::{FORMAT_VERSION, FrontEnd, Manifest, Modality, Pattern};
use crate::path::{PLAIN, is_plain};

/// One part more than this in a window is a mistake, not a model: ten seconds at 100 Hz.
const MAX_FRAMES: usize = 1000;

/// An hour: samples of a whole window are held in memory.
const MAX_WINDOW_MS: u64 = 3_600_000;
/// More than any text model reads.
const MAX_TOKENS: usize = 1 << 20;

/// Everything that is wrong with a manifest in itself.
pub(crate) fn validate(manifest: &Manifest, problems: &mut Problems) {
    if manifest.format_version != FORMAT_VERSION {
        problems.field("format_version", manifest.format_version, FORMAT_VERSION.to_string());
    }
    id("name", &manifest.name, problems);
    version(&manifest.version, problems);
    labels(&manifest.labels, problems);
    from_one("window.length_ms", manifest.window.length_ms, MAX_WINDOW_MS, problems);
    from_one("window.hop_ms", manifest.window.hop_ms, MAX_WINDOW_MS, problems);
    positive("width", manifest.width, problems);
    modalities(manifest, problems);
    patterns(manifest, problems);
    files(manifest, problems);
    let tolerance = manifest.golden.tolerance;
    if !(tolerance.is_finite() && tolerance > 0.0) {
        problems.field("golden.tolerance", tolerance, "a positive number");
    }
}

/// Ids become part of topics, tensor names and file names.
fn id(field: impl Into<String>, value: &str, problems: &mut Problems) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if value.is_empty() || !value.chars().all(allowed) {
        problems.field(field, format!("{value:?}"), "[A-Za-z0-9_-]+");
    }
}

fn version(value: &str, problems: &mut Problems) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
    if value.is_empty() || !value.chars().all(allowed) {
        problems.field("version", format!("{value:?}"), "[A-Za-z0-9_.+-]+");
    }
}

fn positive<N: PartialEq + Default + Display>(field: impl Into<String>, value: N, problems: &mut Problems) {
    if value == N::default() {
        problems.field(field, value, "at least 1");
    }
}

fn from_one<N: PartialOrd + Default + Display>(
    field: impl Into<String>,
    value: N,
    most: N,
    problems: &mut Problems,
) {
    if value == N::default() || value > most {
        problems.field(field, value, format!("1 to {most}"));
    }
}

fn within(field: impl Into<String>, value: f32, range: RangeInclusive<f32>, problems: &mut Problems) {
    // `contains` is false for NaN.
    if !range.contains(&value) {
        problems.field(field, value, format!("a number in [{}, {}]", range.start(), range.end()));
    }
}

/// Reports every name that stands in the list before it.
fn unique<'a>(
    names: impl IntoIterator<Item = &'a str>,
    field: impl Fn(usize) -> String,
    problems: &mut Problems,
) {
    let mut seen = HashSet::new();
    for (i, name) in names.into_iter().enumerate() {
        if !seen.insert(name) {
            problems.field(field(i), format!("{name:?}"), "a name that is not taken");
        }
    }
}

fn labels(labels: &[String], problems: &mut Problems) {
    if labels.is_empty() {
        problems.field("labels", "[]", "at least one label");
    }
    for (i, label) in labels.iter().enumerate() {
        if label.is_empty() || label.chars().any(char::is_control) {
            problems.field(format!("labels[{i}]"), format!("{label:?}"), "printable text");
        }
    }
    unique(labels.iter().map(String::as_str), |i| format!("labels[{i}]"), problems);
}

fn modalities(manifest: &Manifest, problems: &mut Problems) {
    let count = manifest.modalities.len();
    // Patterns are counted in a `u64`, hence one fewer than a set could hold.
    if !(1..ModalitySet::CAPACITY).contains(&count) {
        let expected = format!("1 to {} modalities", ModalitySet::CAPACITY - 1);
        problems.field("modalities", format!("a list of {count}"), expected);
    }
    let names = manifest.modalities.iter().map(|m| m.name.as_str());
    unique(names, |i| format!("modalities[{i}].name"), problems);
    for (i, modality) in manifest.modalities.iter().enumerate() {
        let at = format!("modalities[{i}]");
        id(format!("{at}.name"), &modality.name, problems);
        positive(format!("{at}.width"), modality.width, problems);
        front_end(&at, modality, problems);
        frames(&at, modality, problems);
        proxies(&at, modality, manifest, problems);
    }
}

fn front_end(at: &str, modality: &Modality, problems: &mut Problems) {
    match (&modality.front_end, modality.kind) {
        (FrontEnd::LogMel(spec), Kind::Audio) => {
            if let Err(MelError::Field { field, value, expected }) = LogMel::new(spec) {
                problems.field(format!("{at}.front_end.{field}"), value, expected);
            }
        }
        (FrontEnd::Picture(spec), Kind::Video | Kind::Image) => {
            if let Err(PictureError::Field { field, value, expected }) = PictureFrontEnd::new(spec) {
                problems.field(format!("{at}.front_end.{field}"), value, expected);
            }
        }
        (FrontEnd::WordPiece(spec), Kind::Text) => {
            from_one(format!("{at}.front_end.tokens"), spec.tokens, MAX_TOKENS, problems);
        }
        (front_end, kind) => {
            let found = match front_end {
                FrontEnd::LogMel(_) => "log_mel",
                FrontEnd::Picture(_) => "picture",
                FrontEnd::WordPiece(_) => "word_piece",
            };
            let expected = match kind {
                Kind::Audio => "log_mel, because the modality is audio",
                Kind::Video | Kind::Image => "picture, because the modality is video or image",
                Kind::Text => "word_piece, because the modality is text",
            };
            problems.field(format!("{at}.front_end.type"), found, expected);
        }
    }
}

fn frames(at: &str, modality: &Modality, problems: &mut Problems) {
    let (range, expected) = match modality.kind {
        Kind::Video => (1..=MAX_FRAMES, format!("1 to {MAX_FRAMES}")),
        Kind::Audio | Kind::Image | Kind::Text => (1..=1, "1, because only video has several".to_owned()),
    };
    if !range.contains(&modality.frames) {
        problems.field(format!("{at}.frames"), modality.frames, expected);
    }
}

/// Each encoder needs a proxy for each other modality: else what a window with this modality alone is worth
/// nobody has trained. Only a model without any proxies does with zeros.
fn proxies(at: &str, modality: &Modality, manifest: &Manifest, problems: &mut Problems) {
    for (i, proxy) in modality.proxies.iter().enumerate() {
        if *proxy == modality.name || manifest.modality(proxy).is_none() {
            problems.field(
                format!("{at}.proxies[{i}]"),
                format!("{proxy:?}"),
                "the name of another modality",
            );
        }
    }
    unique(modality.proxies.iter().map(String::as_str), |i| format!("{at}.proxies[{i}]"), problems);
    let without = manifest.modalities.iter().all(|m| m.proxies.is_empty());
    for other in manifest.modalities.iter().filter(|m| m.name != modality.name && !without) {
        if !modality.proxies.contains(&other.name) {
            let expected = format!("a proxy for every other modality, here also {:?}", other.name);
            problems.field(format!("{at}.proxies"), format!("{:?}", modality.proxies), expected);
        }
    }
}

fn patterns(manifest: &Manifest, problems: &mut Problems) {
    let order: Vec<&String> = manifest.modalities.iter().map(|m| &m.name).collect();
    for (i, pattern) in manifest.patterns.iter().enumerate() {
        let at = format!("patterns[{i}]");
        available(&at, pattern, &order, problems);
        if manifest.patterns[..i].iter().any(|earlier| earlier.available == pattern.available) {
            let value = format!("{:?}", pattern.available);
            problems.field(format!("{at}.available"), value, "a pattern that is not listed before");
        }
        let temperature = pattern.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            problems.field(format!("{at}.temperature"), temperature, "a positive number");
        }
        id(format!("{at}.metric.name"), &pattern.metric.name, problems);
        within(format!("{at}.metric.value"), pattern.metric.value, 0.0..=1.0, problems);
        per_class(&at, pattern, manifest.labels.len(), problems);
        if let Some(error) = pattern.calibration_error {
            within(format!("{at}.calibration_error"), error, 0.0..=1.0, problems);
        }
    }
    if !manifest.patterns.iter().any(|pattern| pattern.available.iter().eq(order.iter().copied())) {
        let found: Vec<_> = manifest.patterns.iter().map(Pattern::key).collect();
        problems.field("patterns", format!("{found:?}"), "at least the pattern of all modalities");
    }
}

fn available(at: &str, pattern: &Pattern, order: &[&String], problems: &mut Problems) {
    let positions: Option<Vec<usize>> =
        pattern.available.iter().map(|name| order.iter().position(|m| *m == name)).collect();
    let sound = positions.is_some_and(|p| !p.is_empty() && p.is_sorted_by(|a, b| a < b));
    if !sound {
        let expected = format!("one or more of {order:?}, in this order");
        problems.field(format!("{at}.available"), format!("{:?}", pattern.available), expected);
    }
}

fn per_class(at: &str, pattern: &Pattern, classes: usize, problems: &mut Problems) {
    if pattern.per_class.len() != classes {
        let expected = format!("{classes} values, one per label");
        problems.field(format!("{at}.per_class"), format!("a list of {}", pattern.per_class.len()), expected);
    }
    for (c, value) in pattern.per_class.iter().enumerate() {
        within(format!("{at}.per_class[{c}]"), *value, 0.0..=1.0, problems);
    }
}

fn files(manifest: &Manifest, problems: &mut Problems) {
    unique(manifest.files.iter().map(|f| f.path.as_str()), |i| format!("files[{i}].path"), problems);
    for (i, file) in manifest.files.iter().enumerate() {
        if !is_plain(&file.path) || file.path == MANIFEST {
            problems.field(format!("files[{i}].path"), format!("{:?}", file.path), PLAIN);
        }
        let lowercase_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if file.sha256.len() != 64 || !file.sha256.chars().all(lowercase_hex) {
            let value = format!("{:?}", file.sha256);
            problems.field(format!("files[{i}].sha256"), value, "64 lowercase hexadecimal digits");
        }
    }
    for (field, path) in references(manifest) {
        if !manifest.files.iter().any(|file| file.path == *path) {
            problems.field(field, format!("{path:?}"), "a path that `files` lists");
        }
    }
}

/// Every place of a manifest that names a file.
fn references(manifest: &Manifest) -> Vec<(String, &String)> {
    let encoders = manifest.modalities.iter().enumerate();
    let encoders = encoders.map(|(i, m)| (format!("modalities[{i}].encoder"), &m.encoder));
    let others = [("fusion", &manifest.fusion), ("golden.file", &manifest.golden.file)];
    encoders.chain(others.map(|(field, path)| (field.to_owned(), path))).collect()
}
