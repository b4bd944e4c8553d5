//! `cmptd bundle verify | info`.

use std::io::Write;

use crate::cli::BundleCommand;
use crate::failure::Failure;
use crate::model::Model;

/// Runs the command.
pub fn run(command: &BundleCommand) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match command {
        BundleCommand::Verify { dir } => {
            let model = Model::open(dir)?;
            let manifest = model.manifest();
            let (name, version, files) = (&manifest.name, &manifest.version, manifest.files.len());
            writeln!(stdout, "{name} {version}: {files} files, sha256 {}", model.digest())?;
        }
        BundleCommand::Info { dir } => {
            let model = Model::open(dir)?;
            serde_json::to_writer_pretty(&mut stdout, model.manifest()).map_err(std::io::Error::from)?;
            writeln!(stdout)?;
        }
    }
    Ok(())
}
