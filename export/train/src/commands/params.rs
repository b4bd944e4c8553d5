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

#[cfg(test)]
mod tests {
    use cmpt_bundle::manifest::{FrontEnd, Task};
    use cmpt_core::features::PictureSpec;
    use cmpt_core::modality::Kind;

    use super::*;
    use crate::data::batch::ModalityInfo;
    use crate::encoder::spec::{Embedding, EncoderSpec, Size};
    use crate::method::spec::{Lora, ModalitySpec, Tune};

    #[test]
    fn kinetics_sounds_model_has_the_numbers_of_the_paper() {
        let mut clip = EncoderSpec::vit(Size::BASE, 3, 224, 16);
        let Embedding::Patches(patches) = &mut clip.embedding;
        patches.bias = false;
        clip.embedding_norm = true;
        let ast = EncoderSpec::ast(Size::BASE, 1024, 128, 16, 10);
        let modality = |name: &str, encoder| {
            // The front end has no parameters that learn.
            let front_end =
                FrontEnd::Picture(PictureSpec { edge: 224, mean: vec![0.0; 3], std: vec![1.0; 3] });
            let info = ModalityInfo { name: name.into(), kind: Kind::Video, front_end, frames: 3 };
            ModalitySpec { info, encoder }
        };
        let spec = ModelSpec {
            task: Task::Multiclass,
            labels: (0..31).map(|class| class.to_string()).collect(),
            modalities: vec![modality("audio", ast), modality("video", clip)],
            width: 768,
            tune: Tune::Lora(Lora::default()),
        };
        let counts = Counts::of(&spec);
        // Table 4 of the paper: 172.16 M in total, 0.17 M learnable.
        assert_eq!((counts.total, counts.learnable), (172_159_519, 172_831));
    }
}
