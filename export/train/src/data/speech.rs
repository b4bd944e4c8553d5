//! Words spoken by the speech synthesisers that Debian packages: eSpeak NG, Flite, Festival.

use std::fmt;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;

use super::accent::{ACCENTS, Accent};
use super::error::DataError;
use super::wav::{self, Sound};

/// A voice and how it speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    engine: Engine,
    /// Name as the engine knows it.
    name: String,
    /// Duration relative to the voice's own.
    stretch: f32,
    /// Mean pitch in Hz, or for eSpeak NG its 0 to 99. `None` keeps the voice's own.
    pitch: Option<f32>,
    /// Follows every word: its intonation.
    ending: &'static str,
    /// The language it speaks, where that is not English.
    accent: Option<&'static Accent>,
}

/// A speech synthesiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Formant synthesis: few resources, many voices, not natural.
    Espeak,
    /// Diphones and statistical models of recorded speakers.
    Flite,
    /// The same.
    Festival,
}

impl fmt::Display for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, name, stretch, pitch, ending, accent: _ } = self;
        let engine = format!("{engine:?}").to_lowercase();
        write!(f, "{engine}/{name} stretch {stretch:.2} pitch ")?;
        match pitch {
            Some(pitch) => write!(f, "{pitch:.0}")?,
            None => write!(f, "own")?,
        }
        if ending.is_empty() { Ok(()) } else { write!(f, " ending {ending}") }
    }
}

/// `count` voices of eSpeak NG, drawn from accents, variants, pitches and speeds by `seed`.
pub fn espeak_voices(count: usize, seed: u64) -> Vec<Voice> {
    let mut rng = Rng::with_seed(seed);
    let voice = |index: usize| {
        // In turn, so that every accent and variant is used.
        let accent = ESPEAK_ACCENTS[index % ESPEAK_ACCENTS.len()];
        let variant = ESPEAK_VARIANTS[rng.usize(..ESPEAK_VARIANTS.len())];
        Voice {
            engine: Engine::Espeak,
            name: format!("{accent}+{variant}"),
            stretch: 0.8 + 0.6 * rng.f32(),
            pitch: Some(15.0 + 65.0 * rng.f32()),
            ending: ENDINGS[rng.usize(..ENDINGS.len())],
            accent: None,
        }
    };
    (0..count).map(voice).collect()
}

/// Voices that say digits with an accent: `count` of eSpeak NG, drawn as those above, and all of Festival.
pub fn accented_voices(count: usize, seed: u64) -> Vec<Voice> {
    let mut voices = espeak_voices(count, seed);
    for (voice, accent) in voices.iter_mut().zip(ACCENTS.iter().cycle()) {
        let (_, variant) = voice.name.split_once('+').expect("a voice of eSpeak NG has a variant");
        voice.name = format!("{}+{variant}", accent.espeak);
        voice.accent = Some(accent);
    }
    for accent in &ACCENTS {
        for name in accent.festival {
            for (index, stretch) in [0.75, 0.9, 1.05, 1.25].into_iter().enumerate() {
                let (name, ending) = (name.to_string(), ENDINGS[index % 2]);
                // Their own intonation is left to them: it belongs to the accent.
                let engine = Engine::Festival;
                voices.push(Voice { engine, name, stretch, pitch: None, ending, accent: Some(accent) });
            }
        }
    }
    voices
}

/// The voices of Flite and Festival at several tempos and pitches.
pub fn recorded_voices() -> Vec<Voice> {
    let mut voices = Vec::new();
    for (engine, name, pitches) in RECORDED_VOICES {
        for (index, &pitch) in pitches.iter().enumerate() {
            for stretch in [0.8, 1.0, 1.2, 1.45] {
                let ending = ENDINGS[(voices.len() + index) % ENDINGS.len()];
                let (name, pitch) = (name.to_string(), (pitch > 0.0).then_some(pitch));
                voices.push(Voice { engine, name, stretch, pitch, ending, accent: None });
            }
        }
    }
    voices
}

const ESPEAK_ACCENTS: [&str; 8] = [
    "en-us",
    "en-gb",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
];

/// Variants that sound like people; the package's robots, croaks and whispers are left out.
#[rustfmt::skip]
const ESPEAK_VARIANTS: [&str; 56] = [
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky",
    "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Storm", "adam", "anika", "antonio", "aunty", "belinda",
    "benjamin", "boris", "caleb", "david", "ed", "edward", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa",
    "gustave", "iven", "john", "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "max", "michel", "pablo",
    "paul", "quincy", "rob", "steph",
];

/// Pitch 0 keeps the voice's own, where the engine cannot change it.
const RECORDED_VOICES: [(Engine, &str, &[f32]); 8] = [
    (Engine::Flite, "kal16", &[85.0, 105.0, 130.0]),
    (Engine::Flite, "awb", &[0.0, 100.0, 150.0]),
    (Engine::Flite, "rms", &[0.0, 85.0, 120.0]),
    (Engine::Flite, "slt", &[0.0, 150.0, 210.0]),
    (Engine::Flite, "kal", &[90.0, 120.0]),
    (Engine::Festival, "kal_diphone", &[85.0, 105.0, 130.0]),
    (Engine::Festival, "ked_diphone", &[90.0, 110.0, 140.0]),
    (Engine::Festival, "cmu_us_slt_arctic_hts", &[0.0]),
];

const ENDINGS: [&str; 4] = ["", ".", "?", ","];

impl Voice {
    /// The engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Whether it speaks another language than English.
    pub fn is_accented(&self) -> bool {
        self.accent.is_some()
    }

    /// Every word on its own, in the order of `words`, which a voice with an accent spells its own way:
    /// they must then be the digits.
    ///
    /// Errors: the command line of the engine that is missing or failed, and what it said.
    pub fn speak(&self, words: &[&str]) -> Result<Vec<Sound>, DataError> {
        let words = self.accent.map_or(words, |accent| &accent.digits);
        let folder = tempfile::tempdir();
        let folder = folder.map_err(|source| DataError::Write { path: std::env::temp_dir(), source })?;
        let path = |index: usize| folder.path().join(format!("{index}.wav"));
        match self.engine {
            Engine::Festival => self.festival(words, &path)?,
            Engine::Espeak | Engine::Flite => {
                for (index, word) in words.iter().enumerate() {
                    run(&mut self.command(&format!("{word}{}", self.ending), &path(index)))?;
                }
            }
        }
        (0..words.len()).map(|index| wav::read(&path(index))).collect()
    }

    fn command(&self, text: &str, wav: &Path) -> Command {
        let mut command;
        if self.engine == Engine::Espeak {
            const WORDS_PER_MINUTE: f32 = 150.0;
            command = Command::new("espeak-ng");
            command.args(["-v", &self.name, "-s", &format!("{:.0}", WORDS_PER_MINUTE / self.stretch)]);
            command.args(self.pitch.map(|pitch| format!("-p{pitch:.0}")));
            command.arg("-w").arg(wav).arg(text);
        } else {
            command = Command::new("flite");
            command.args(["-voice", &self.name, "--setf", &format!("duration_stretch={}", self.stretch)]);
            if let Some(pitch) = self.pitch {
                command.args(["--setf", &format!("int_f0_target_mean={pitch}")]);
            }
            command.arg("-t").arg(text).arg("-o").arg(wav);
        }
        command
    }

    /// One process for all words: starting Festival takes longer than speaking.
    fn festival(&self, words: &[&str], path: &dyn Fn(usize) -> std::path::PathBuf) -> Result<(), DataError> {
        let mut script =
            format!("(voice_{})\n(Parameter.set 'Duration_Stretch {})\n", self.name, self.stretch);
        if let Some(pitch) = self.pitch {
            // The model's own mean and deviation are those of its documentation.
            script += &format!(
                "(set! int_lr_params '((target_f0_mean {pitch}) (target_f0_std 14) \
                 (model_f0_mean 170) (model_f0_std 34)))\n"
            );
        }
        for (index, word) in words.iter().enumerate() {
            let (ending, wav) = (self.ending, path(index));
            script += &format!(
                "(utt.save.wave (utt.synth (Utterance Text \"{word}{ending}\")) \"{}\" 'riff)\n",
                wav.display()
            );
        }
        let file = path(words.len()).with_extension("scm");
        std::fs::write(&file, script).map_err(|source| DataError::Write { path: file.clone(), source })?;
        run(Command::new("festival").arg("--batch").arg(&file))
    }
}

fn run(command: &mut Command) -> Result<(), DataError> {
    let line = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(|source| DataError::Run { command: line.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(DataError::Failed { command: line, status: output.status, stderr })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn voices_are_many_and_follow_their_seed() {
        let voices = espeak_voices(100, 1);
        assert_eq!(voices, espeak_voices(100, 1));
        assert_ne!(voices, espeak_voices(100, 2));
        let names: HashSet<String> = voices.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 100);
        assert!(recorded_voices().len() > 50);
    }

    #[test]
    fn every_accent_has_voices_and_no_voice_is_there_twice() {
        let voices = accented_voices(60, 1);
        let names: HashSet<String> = voices.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), voices.len());
        for accent in &ACCENTS {
            let of_accent = voices.iter().filter(|voice| voice.accent == Some(accent));
            assert_eq!(of_accent.count(), 4 + 4 * accent.festival.len(), "{}", accent.espeak);
        }
    }

    #[test]
    fn a_missing_engine_is_an_error_that_names_the_command() {
        let error = run(Command::new("no-such-engine").arg("--say")).unwrap_err();
        assert!(matches!(&error, DataError::Run { command, .. } if command == "no-such-engine --say"));
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("broken"), "{error}");
    }
}
