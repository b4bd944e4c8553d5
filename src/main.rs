//! `cmptd`, the daemon: composes the library.

use std::io::IsTerminal;
use std::process::ExitCode as ProcessExitCode;

use clap::Parser;
use cmpt::cli::{Cli, Command};
use cmpt::exit_code::ExitCode;
use cmpt::failure::Failure;
use cmpt::{bench, bundle_command, check, memory, offset, replay, sensors, supervisor};
use tracing_subscriber::EnvFilter;

fn main() -> ProcessExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for, and go to standard output.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success };
            return if error.print().is_ok() { code.into() } else { ExitCode::Io.into() };
        }
    };
    log(&cli.command);
    memory::bound_arenas();
    match execute(cli.command) {
        Ok(()) => ExitCode::Success.into(),
        Err(failure) => {
            eprintln!("cmptd: failed to {failure}");
            failure.exit_code().into()
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run { config } => runtime().block_on(supervisor::run(&config)),
        Command::Replay(args) => runtime().block_on(replay::run(args)),
        Command::Bench(args) => bench::run(&args),
        Command::Check { config } => check::run(&config),
        Command::Sensors(args) => runtime().block_on(sensors::run(args)),
        Command::Offset(args) => runtime().block_on(offset::run(args)),
        Command::Bundle(command) => bundle_command::run(&command),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be started")
}

/// Logs to standard error; standard output is data. `RUST_LOG` overrides what is logged.
fn log(command: &Command) {
    let level = if matches!(command, Command::Run { .. }) { "info,ort=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(ansi).with_env_filter(filter).init();
}
