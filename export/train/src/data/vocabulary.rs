//! What synthesised voices say.

use clap::ValueEnum;

/// A list of words, each a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vocabulary {
    /// The ten digits, "zero" to "nine".
    Digits,
    /// Common words that are not digits, nor sound like one.
    Words,
}

impl Vocabulary {
    /// Its words.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Digits => &DIGITS,
            Self::Words => &WORDS,
        }
    }
}

/// Class names of avdigits.
pub const DIGITS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

#[rustfmt::skip] // one word a line would be 120 lines
const WORDS: [&str; 120] = [
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go",
    "open", "close", "start", "begin", "end", "light", "dark", "house", "tree", "bird",
    "cat", "dog", "horse", "cow", "sheep", "fish", "wolf", "mouse", "apple", "bread",
    "cheese", "milk", "water", "coffee", "sugar", "salt", "pepper", "butter", "orange", "lemon",
    "red", "green", "blue", "yellow", "black", "white", "brown", "purple", "silver", "golden",
    "monday", "tuesday", "friday", "sunday", "march", "april", "june", "august", "winter", "summer",
    "morning", "evening", "river", "mountain", "island", "ocean", "forest", "garden", "street", "village",
    "mother", "father", "brother", "sister", "doctor", "teacher", "farmer", "soldier", "captain", "queen",
    "hand", "foot", "nose", "mouth", "finger", "shoulder", "stomach", "heart", "music", "guitar",
    "piano", "window", "table", "chair", "pencil", "paper", "bottle", "basket", "hammer", "ladder",
    "happy", "angry", "quiet", "simple", "heavy", "narrow", "visual", "zebra", "thunder", "weather",
    "follow", "backward", "marvin", "learn", "wow", "fairy", "vision", "sheila", "zoo", "virus",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_no_digits() {
        let words: HashSet<_> = WORDS.into_iter().collect();
        assert_eq!(words.len(), WORDS.len());
        assert!(DIGITS.iter().all(|digit| !words.contains(digit)));
    }
}
