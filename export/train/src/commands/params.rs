//! `params`: how many parameters a model has, and how many of them learn.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::UsageError;
use crate::exit_code::ExitCode;
use crate::method::recipe::Recipe;
use crate::method::spec::{ModelSpec, Role};
use crate::training::checkpoint;

/// Count the parameters of a model: total and learnable, and by what they are for
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct ParamsArgs {
    /// Checkpoint, such as `runs/fit/best`
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Experiment of the paper
    #[arg(long, value_enum)]
    recipe: Option<Recipe>,
}

/// Numbers of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: usize,
    /// Those that learn.
    pub learnable: usize,
    /// By what they are for.
    pub by_role: BTreeMap<Role, usize>,
}

impl Counts {
    /// Counts the parameters of `spec`.
    pub fn of(spec: &ModelSpec) -> Self {
        let mut counts = Self { total: 0, learnable: 0, by_role: BTreeMap::new() };
        for entry in spec.parameters() {
            let count = entry.parameter.count();
            counts.total += count;
            counts.learnable += if spec.learns(entry.role) { count } else { 0 };
            *counts.by_role.entry(entry.role).or_default() += count;
        }
        counts
    }
}

/// Runs the command.
pub fn run(args: &ParamsArgs) -> anyhow::Result<ExitCode> {
    let spec = match (&args.model, args.recipe) {
        (Some(dir), _) => checkpoint::open_spec(dir)?,
        (None, Some(recipe)) => recipe.model()?,
        (None, None) => return Err(UsageError::new("--model or --recipe", "neither is given").into()),
    };
    let counts = Counts::of(&spec);
    let mut lines = format!("total {}\nlearnable {}\n", counts.total, counts.learnable);
    for (role, count) in &counts.by_role {
        lines += &format!("  {} {count}\n", format!("{role:?}").to_lowercase());
    }
    io::stdout().write_all(lines.as_bytes()).context("write to stdout")?;
    Ok(ExitCode::Success)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn counts(recipe: Recipe) -> (usize, usize) {
        let counts = Counts::of(&recipe.model().unwrap());
        (counts.total, counts.learnable)
    }

    #[test]
    fn kinetics_sounds_model_has_the_numbers_of_the_paper() {
        // Table 4 of the paper: 172.16 M in total, 0.17 M learnable.
        assert_eq!(counts(Recipe::KineticsSounds), (172_159_519, 172_831));
    }

    #[test]
    fn upmc_food101_model_has_the_numbers_of_the_paper() {
        // Table 3 of the paper: 195.51 M in total; of its 0.27 M learnable 0.04 M stay unexplained.
        assert_eq!(counts(Recipe::UpmcFood101), (195_508_325, 226_661));
    }

    #[test]
    fn every_recipe_is_a_model() {
        for recipe in Recipe::value_variants() {
            assert_eq!(recipe.model().unwrap().validate(), Ok(()), "{recipe:?}");
        }
    }
}
