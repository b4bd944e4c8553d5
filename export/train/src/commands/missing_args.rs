//! Arguments about data that is missing.

use clap::Args;

use super::UsageError;
use super::run_args::RunArgs;
use crate::data::batch::{Dataset, Split};
use crate::data::error::DataError;
use crate::data::missing::{Available, MissingTables, Phase};

/// Arguments about data that is missing.
#[derive(Args, Clone, Debug)]
pub struct MissingArgs {
    /// The part of the samples that has a modality, such as `text=30%`; modalities that are not named are
    /// always there. Which samples these are is drawn once and kept in the run's `missing.json`
    #[arg(long, value_name = "MODALITY=SHARE")]
    pub available: Vec<Available>,
    /// When modalities are missing
    #[arg(long, value_enum, default_value_t = Phase::Both)]
    pub missing_in: Phase,
    /// Seed of what is missing, and of class-level pairs, which then last for the whole run
    #[arg(long, default_value_t = 1)]
    pub missing_seed: u64,
}

impl MissingArgs {
    /// The seed of class-level pairs, where they have to last.
    pub fn fixed_pairs(&self) -> Option<u64> {
        let in_training = self.missing_in.splits().contains(&Split::Train);
        (in_training && !self.available.is_empty()).then_some(self.missing_seed)
    }

    /// The tables for `dataset`, kept beside the run. A run that goes on must have been begun with the same.
    pub fn tables(&self, dataset: &dyn Dataset, run: &RunArgs) -> anyhow::Result<MissingTables> {
        let path = run.out.join(MissingTables::FILE);
        let tables = match &self.available[..] {
            [] => MissingTables::none(),
            available => {
                MissingTables::none().with(dataset, self.missing_in, available, self.missing_seed)?
            }
        };
        if path.exists() {
            if MissingTables::read(&path)? != tables {
                let reason = format!("{} was drawn otherwise", path.display());
                return Err(UsageError::new("--available", reason).into());
            }
            return Ok(tables);
        }
        if self.available.is_empty() {
            return Ok(tables);
        }
        std::fs::create_dir_all(&run.out)
            .map_err(|source| DataError::Write { path: run.out.clone(), source })?;
        tables.write(&path)?;
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        missing: MissingArgs,
    }

    #[test]
    fn pairs_last_where_training_lacks_something_and_only_there() {
        let fixed = |arguments: &[&str]| {
            let arguments = [&["fit"], arguments].concat();
            Command::try_parse_from(arguments).unwrap().missing.fixed_pairs()
        };
        assert_eq!(fixed(&[]), None);
        assert_eq!(fixed(&["--missing-in", "training"]), None);
        assert_eq!(fixed(&["--available", "text=30%", "--missing-seed", "7"]), Some(7));
        assert_eq!(fixed(&["--available", "text=0.3", "--missing-in", "training"]), Some(1));
        assert_eq!(fixed(&["--available", "text=30%", "--missing-in", "inference"]), None);
        assert!(Command::try_parse_from(["fit", "--available", "text=130%"]).is_err());
    }
}
