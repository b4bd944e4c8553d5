//! Texts as BERT reads them: the algorithm of `BertTokenizer` in Hugging Face's transformers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use cmpt_bundle::manifest::WordPieceSpec;
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::error::DataError;

const CONFIG: &str = "tokenizer_config.json";

const PADDING: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const CLASS: &str = "[CLS]";
const END: &str = "[SEP]";
const MASK: &str = "[MASK]";
const SPECIAL: [&str; 5] = [PADDING, UNKNOWN, CLASS, END, MASK];

/// What a piece that does not begin a word begins with in the vocabulary.
const INSIDE: &str = "##";
/// Characters of the longest word that is looked for in the vocabulary.
const LONGEST_WORD: usize = 100;
/// `[CLS]`, one token of the text, `[SEP]`.
const SHORTEST_TEXT: usize = 3;

/// Turns texts into the numbers of their tokens.
pub struct WordPiece {
    spec: WordPieceSpec,
    config: Config,
    size: usize,
    /// Words, and beginnings of words.
    first: HashMap<String, u32>,
    /// What follows within a word, without its `##`.
    inside: HashMap<String, u32>,
}

/// What Hugging Face's `tokenizer_config.json` says; its absent fields are as in BERT base uncased.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    do_lower_case: bool,
    /// Where it is null, accents go where capitals go.
    strip_accents: Option<bool>,
    tokenize_chinese_chars: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { do_lower_case: true, strip_accents: None, tokenize_chinese_chars: true }
    }
}

impl WordPiece {
    /// Reads `vocabulary`, BERT's `vocab.txt` with a token a line, and the `tokenizer_config.json` beside it
    /// where there is one.
    ///
    /// Errors: files that cannot be read, a vocabulary without BERT's special tokens or with another number
    /// for the padding than `spec` has, texts too short for a word.
    pub fn open(vocabulary: &Path, spec: &WordPieceSpec) -> Result<Self, DataError> {
        if spec.tokens < SHORTEST_TEXT {
            let reason = format!("texts of {} tokens, expected at least {SHORTEST_TEXT}", spec.tokens);
            return Err(DataError::unusable(reason));
        }
        let text = fs::read_to_string(vocabulary)
            .map_err(|source| DataError::Read { path: vocabulary.into(), source })?;
        let numbered = || text.lines().zip(0u32..);
        let word_piece = Self {
            spec: spec.clone(),
            config: Config::beside(vocabulary)?,
            size: text.lines().count(),
            first: numbered().map(|(token, number)| (token.to_owned(), number)).collect(),
            inside: numbered()
                .filter_map(|(token, number)| Some((token.strip_prefix(INSIDE)?.to_owned(), number)))
                .collect(),
        };
        for token in SPECIAL {
            if !word_piece.first.contains_key(token) {
                let reason = format!("no token {token}, expected a vocabulary of BERT's");
                return Err(DataError::malformed(vocabulary, reason));
            }
        }
        let padding = word_piece.special(PADDING) as usize;
        if padding != spec.padding {
            let reason = format!("{PADDING} is token {padding}, expected {}", spec.padding);
            return Err(DataError::malformed(vocabulary, reason));
        }
        Ok(word_piece)
    }

    /// Its parameters.
    pub fn spec(&self) -> &WordPieceSpec {
        &self.spec
    }

    /// Tokens in the vocabulary; the encoder's table of words must be as long.
    pub fn vocabulary(&self) -> usize {
        self.size
    }

    /// Model input of one text: `[CLS]`, its tokens, `[SEP]`, cut or padded to `tokens` numbers. A text of
    /// nothing is an empty one, not a missing one.
    pub fn features(&self, text: &str) -> Vec<f32> {
        let mut numbers = vec![self.special(CLASS)];
        self.read(text, &mut numbers);
        numbers.truncate(self.spec.tokens - 1);
        numbers.push(self.special(END));
        numbers.resize(self.spec.tokens, self.special(PADDING));
        // Exact: a vocabulary of BERT's has far less than 2^24 tokens.
        numbers.into_iter().map(|number| number as f32).collect()
    }

    fn special(&self, token: &str) -> u32 {
        *self.first.get(token).expect("a vocabulary without special tokens is not opened")
    }

    /// Appends the numbers of a text's tokens. Special tokens that the text spells out are themselves.
    fn read(&self, mut text: &str, numbers: &mut Vec<u32>) {
        let next = |text: &str| {
            let found = SPECIAL.iter().filter_map(|token| Some((text.find(token)?, *token)));
            found.min_by_key(|(place, _)| *place)
        };
        while let Some((place, token)) = next(text) {
            self.read_plain(&text[..place], numbers);
            numbers.push(self.special(token));
            text = &text[place + token.len()..];
        }
        self.read_plain(text, numbers);
    }

    fn read_plain(&self, text: &str, numbers: &mut Vec<u32>) {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars().filter(|c| !is_control(*c)) {
            match c {
                c if self.config.tokenize_chinese_chars && is_ideograph(c) => clean.extend([' ', c, ' ']),
                c if c.is_whitespace() => clean.push(' '),
                // Of each character alone, so that a capital sigma is no final one.
                c if self.config.do_lower_case => clean.extend(c.to_lowercase()),
                c => clean.push(c),
            }
        }
        let clean: String = clean.nfc().collect();
        for word in clean.split_whitespace() {
            let strip = self.config.strip_accents.unwrap_or(self.config.do_lower_case);
            let word: String =
                if strip { word.nfd().filter(|c| !is_accent(*c)).collect() } else { word.to_owned() };
            // Every mark of punctuation is a word of its own.
            let mut rest = word.as_str();
            while let Some((place, mark)) = rest.char_indices().find(|(_, c)| is_punctuation(*c)) {
                let (before, after) = (&rest[..place], &rest[place + mark.len_utf8()..]);
                self.split(before, numbers);
                self.split(&rest[place..place + mark.len_utf8()], numbers);
                rest = after;
            }
            self.split(rest, numbers);
        }
    }

    /// Appends the pieces of a word: always the longest that the vocabulary has.
    fn split(&self, word: &str, numbers: &mut Vec<u32>) {
        let ends: Vec<usize> = word.char_indices().map(|(place, c)| place + c.len_utf8()).collect();
        let before = numbers.len();
        let mut start = 0;
        while start < word.len() {
            let known = if start == 0 { &self.first } else { &self.inside };
            let candidates = ends.iter().rev().take_while(|end| **end > start);
            let longest = candidates.filter_map(|end| Some((*end, *known.get(&word[start..*end])?))).next();
            match longest {
                Some((end, number)) if ends.len() <= LONGEST_WORD => {
                    numbers.push(number);
                    start = end;
                }
                _ => {
                    numbers.truncate(before);
                    numbers.push(self.special(UNKNOWN));
                    return;
                }
            }
        }
    }
}

impl Config {
    fn beside(vocabulary: &Path) -> Result<Self, DataError> {
        let path = vocabulary.with_file_name(CONFIG);
        match fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text).map_err(|error| DataError::malformed(path, error.to_string()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(DataError::Read { path, source }),
        }
    }
}

/// What is left out; of what Unicode counts as control characters all but those that part words.
fn is_control(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        char::REPLACEMENT_CHARACTER => true,
        _ => c.general_category_group() == GeneralCategoryGroup::Other,
    }
}

/// An ideograph, which is a word of its own: the blocks of CJK Unified and Compatibility Ideographs.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F | 0x2B820..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

fn is_accent(c: char) -> bool {
    c.general_category() == GeneralCategory::NonspacingMark
}

/// Unicode's punctuation, and what of ASCII is neither letter nor digit.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const WORDS: [&str; 14] = [
        PADDING,
        UNKNOWN,
        CLASS,
        END,
        MASK,
        "un",
        "##affable",
        "##able",
        "cafe",
        "Café",
        "東",
        "!",
        "a",
        "##a",
    ];

    /// Numbers of a text's tokens by the words above, up to the first padding.
    fn read(text: &str, config: Option<&str>, tokens: usize) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.txt");
        fs::write(&path, WORDS.map(|word| format!("{word}\n")).concat()).unwrap();
        if let Some(config) = config {
            fs::write(folder.path().join(CONFIG), config).unwrap();
        }
        let word_piece = WordPiece::open(&path, &WordPieceSpec { tokens, padding: 0 }).unwrap();
        assert_eq!(word_piece.vocabulary(), WORDS.len());
        let features = word_piece.features(text);
        assert_eq!(features.len(), tokens);
        let numbers = features.into_iter().map(|number| number as usize);
        let (text, rest): (Vec<_>, Vec<_>) = numbers.partition(|number| *number != 0);
        assert_eq!(rest.len() + text.len(), tokens);
        text
    }

    fn numbers(words: &[&str]) -> Vec<usize> {
        words.iter().map(|word| WORDS.iter().position(|found| found == word).unwrap()).collect()
    }

    #[test]
    fn words_fall_into_their_longest_pieces() {
        let found = read("Unaffable, unable!", None, 12);
        assert_eq!(found, numbers(&[CLASS, "un", "##affable", UNKNOWN, "un", "##able", "!", END]));
    }

    #[test]
    fn accents_and_capitals_go_unless_the_tokenizer_was_told_to_keep_them() {
        assert_eq!(read("Café", None, 8), numbers(&[CLASS, "cafe", END]));
        let cased = r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}"#;
        assert_eq!(read("Café", Some(cased), 8), numbers(&[CLASS, "Café", END]));
    }

    #[test]
    fn ideographs_stand_alone_and_tokens_that_are_spelt_out_are_themselves() {
        assert_eq!(read("a東a[MASK]", None, 8), numbers(&[CLASS, "a", "東", "a", MASK, END]));
    }

    #[test]
    fn a_long_text_is_cut_before_its_end_token_and_an_empty_one_is_padded() {
        assert_eq!(read(&"a ".repeat(50), None, 5), numbers(&[CLASS, "a", "a", "a", END]));
        assert_eq!(read("", None, 5), numbers(&[CLASS, END]));
        // A word of more than 100 characters is not searched for pieces.
        assert_eq!(read(&"a".repeat(101), None, 5), numbers(&[CLASS, UNKNOWN, END]));
    }

    #[test]
    fn a_vocabulary_that_is_not_berts_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("vocab.txt");
        let error = |text: &str, tokens| {
            fs::write(&path, text).unwrap();
            let opened = WordPiece::open(&path, &WordPieceSpec { tokens, padding: 0 });
            opened.err().unwrap().to_string().replace(path.to_str().unwrap(), "X")
        };
        assert_eq!(
            error("[PAD]\n[UNK]\n[SEP]\n[MASK]\n", 8),
            "read X: no token [CLS], expected a vocabulary of BERT's"
        );
        assert_eq!(error("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n", 8), "read X: [PAD] is token 3, expected 0");
        assert_eq!(error("", 2), "make a dataset: texts of 2 tokens, expected at least 3");
    }
}
