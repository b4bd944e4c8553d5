//! `params`: how many parameters a model has, and how many of them learn.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::exit_code::ExitCode;
use crate::method::spec::{ModelSpec, Role};
use crate::training::checkpoint;

/// Count the parameters of a checkpoint: total and learnable, and by what they are for
#[derive(Args, Clone, Debug)]
pub struct ParamsArgs {
    /// Checkpoint, such as `runs/fit/best`
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
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
    let counts = Counts::of(&checkpoint::open_spec(&args.model)?);
    let mut lines = format!("total {}\nlearnable {}\n", counts.total, counts.learnable);
    for (role, count) in &counts.by_role {
        lines += &format!("  {} {count}\n", format!("{role:?}").to_lowercase());
    }
    io::stdout().write_all(lines.as_bytes()).context("write to stdout")?;
    Ok(ExitCode::Success)
}
