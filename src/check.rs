//! `cmptd check`: everything that is wrong with a configuration and its bundle, at once.

use std::io::Write;
use std::path::Path;

use crate::config::{Config, ConfigError};
use crate::failure::Failure;
use crate::ingest;
use crate::model::Model;
use crate::publish;

/// Runs the command. Errors: [`Failure::Check`] after every mistake has been printed to standard error.
pub fn run(file: &Path) -> Result<(), Failure> {
    let mistakes = match Config::load(file) {
        Ok(config) => mistakes(&config),
        Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => return Err(error.into()),
    };
    if mistakes.is_empty() {
        writeln!(std::io::stdout(), "{}: no mistakes found", file.display())?;
        return Ok(());
    }
    for mistake in &mistakes {
        writeln!(std::io::stderr(), "{mistake}")?;
    }
    let count = if mistakes.len() == 1 { "1 mistake".into() } else { format!("{} mistakes", mistakes.len()) };
    Err(Failure::Check { file: file.display().to_string(), mistakes: count })
}

/// What is wrong beyond the configuration itself: the bundle, what it makes of the streams, sources
/// that cannot be built, files that publishers need.
fn mistakes(config: &Config) -> Vec<String> {
    let mut mistakes = Vec::new();
    if let Err(error) = publish::open(&config.publish, &config.node, "check") {
        mistakes.push(error.to_string());
    }
    match Model::open(&config.bundle) {
        Err(error) => mistakes.push(error.to_string()),
        Ok(model) => match config.plan(&model) {
            Err(ConfigError::Problems(problems)) => mistakes.extend(problems.iter().map(ToString::to_string)),
            Err(error @ ConfigError::Read { .. }) => mistakes.push(error.to_string()),
            Ok(plans) => {
                let sources = plans.into_iter().flat_map(|plan| plan.sources);
                mistakes.extend(sources.filter_map(|spec| ingest::open(spec).err()).map(|e| e.to_string()));
            }
        },
    }
    mistakes
}
