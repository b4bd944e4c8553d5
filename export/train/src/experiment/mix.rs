//! How many samples have each modality, in training or in a test.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::batch::{ModalityInfo, Split};
use crate::data::error::DataError;
use crate::data::missing::{Available, MissingTable, Share};

/// A share of the samples for each modality, in the modalities' order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix(Vec<Available>);

/// A mix as given: `audio=30%,image=100%`. Modalities that are not named are always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixArg(Vec<Available>);

impl FromStr for MixArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Mix::COMPLETE {
            return Ok(Self(Vec::new()));
        }
        Ok(Self(text.split(',').map(str::parse).collect::<Result<_, _>>()?))
    }
}

impl MixArg {
    /// The mix of `modalities`.
    pub fn of(&self, modalities: &[ModalityInfo]) -> Result<Mix, DataError> {
        if let Some(stray) =
            self.0.iter().find(|given| modalities.iter().all(|info| info.name != given.modality))
        {
            let names: Vec<_> = modalities.iter().map(|info| &info.name).collect();
            let reason = format!("no modality `{}`, expected one of {names:?}", stray.modality);
            return Err(DataError::unusable(reason));
        }
        let mut mix = Mix::complete(modalities);
        for available in &mut mix.0 {
            if let Some(given) = self.0.iter().find(|given| given.modality == available.modality) {
                available.share = given.share;
            }
        }
        Ok(mix)
    }
}

impl Mix {
    /// How a mix of nothing missing is called.
    pub const COMPLETE: &str = "complete";

    /// Every sample has everything.
    pub fn complete(modalities: &[ModalityInfo]) -> Self {
        let whole = |info: &ModalityInfo| Available { modality: info.name.clone(), share: Share::ALL };
        Self(modalities.iter().map(whole).collect())
    }

    /// The same with another share of one modality.
    pub fn with(mut self, modality: usize, share: Share) -> Self {
        self.0[modality].share = share;
        self
    }

    /// Whether every sample has everything.
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(|available| available.share == Share::ALL)
    }

    /// The shares.
    pub fn available(&self) -> &[Available] {
        &self.0
    }

    /// Its name in paths: `complete`, or `audio30-image100`.
    pub fn key(&self) -> String {
        if self.is_complete() {
            return Self::COMPLETE.into();
        }
        let part = |available: &Available| format!("{}{}", available.modality, percent(available.share));
        self.0.iter().map(part).collect::<Vec<_>>().join("-")
    }

    /// Its name in a report.
    pub fn words(&self) -> String {
        if self.is_complete() {
            return Self::COMPLETE.into();
        }
        let part = |available: &Available| format!("{} {} %", available.modality, percent(available.share));
        self.0.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// Which of the `samples` of `split` have what. Mixes of one seed that differ in one share are nested.
    pub fn table(&self, split: Split, samples: usize, seed: u64) -> Result<MissingTable, DataError> {
        MissingTable::draw(split, samples, &self.0, seed)
    }
}

/// Without decimals that say nothing.
fn percent(share: Share) -> f64 {
    (f64::from(share) * 1e6).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::front_end::{audio, video};

    #[test]
    fn what_is_not_named_is_always_there() {
        let modalities = [audio(), video()];
        let mix = |text: &str| text.parse::<MixArg>().unwrap().of(&modalities);
        assert_eq!(mix("audio=30%").unwrap().key(), "audio30-video100");
        assert_eq!(mix("video=0.125").unwrap().words(), "audio 100 %, video 12.5 %");
        assert_eq!(mix("complete").unwrap(), Mix::complete(&modalities));
        assert_eq!(mix("audio=100%,video=100%").unwrap().key(), "complete");
        assert!(mix("smell=1").unwrap_err().to_string().contains("no modality `smell`"));
        assert!("audio".parse::<MixArg>().unwrap_err().contains("text=30%"));
    }
}
