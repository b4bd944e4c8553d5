//! `cmpt-train`: composes arguments, command and exit code.

use clap::{Parser, Subcommand};
use cmpt_train::commands::{eval, experiment, export, fit, init, params, pretrain};
use cmpt_train::data::prepare::Prepare;
use cmpt_train::exit_code::{self, ExitCode};

/// Offline trainer of cmpt: stdout is data, stderr is logs
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a prepared dataset of raw data
    #[command(subcommand)]
    Prepare(Prepare),
    Init(init::InitArgs),
    Pretrain(pretrain::PretrainArgs),
    Fit(fit::FitArgs),
    Eval(eval::EvalArgs),
    Export(export::ExportArgs),
    Params(params::ParamsArgs),
    Experiment(experiment::ExperimentArgs),
}

fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success };
            // Nothing is left to say where the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    let result = match &cli.command {
        Command::Prepare(what) => what.run().map(|()| ExitCode::Success),
        Command::Init(args) => init::run(args),
        Command::Pretrain(args) => pretrain::run(args),
        Command::Fit(args) => fit::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Export(args) => export::run(args),
        Command::Params(args) => params::run(args),
        Command::Experiment(args) => experiment::run(args),
    };
    let code = result.unwrap_or_else(|error| {
        eprintln!("error: failed to {error:#}");
        exit_code::of(&error)
    });
    code.into()
}
