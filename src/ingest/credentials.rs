//! User name and password of a source, read from a file and shown to nobody.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where systemd puts what a unit's `LoadCredential=` names.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A user name and a password. Prints without either.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    password: String,
}

/// Why credentials cannot be used. Never says what they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("read credentials file {}: {message}", path.display())]
    Read {
        /// Path that was tried.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The file holds something else.
    #[error("read credentials file {}: expected USER:PASSWORD on its first line", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl Credentials {
    /// The password. For the one who logs in, and for nothing that is printed.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// Reads `USER:PASSWORD` from the first line of `file`. A relative path is looked for among the
/// credentials that systemd has loaded for this service first, then in the working directory.
pub fn read(file: &Path) -> Result<Credentials, CredentialsError> {
    let loaded = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
    read_from(loaded.as_deref(), file)
}

fn read_from(loaded: Option<&Path>, file: &Path) -> Result<Credentials, CredentialsError> {
    let loaded = loaded.map(|folder| folder.join(file)).filter(|path| path.exists());
    let path = loaded.unwrap_or_else(|| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CredentialsError::Read { path: path.clone(), message: error.to_string() })?;
    let line = text.lines().next().and_then(|line| line.split_once(':'));
    match line.filter(|(user, _)| !user.is_empty()) {
        Some((user, password)) => Ok(Credentials { user: user.into(), password: password.into() }),
        None => Err(CredentialsError::Form { path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_password_may_hold_colons_and_is_not_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "camera", "admin:s3:cret@/\n# not read\n");
        let credentials = read_from(None, &path).unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password()), ("admin", "s3:cret@/"));
        assert_eq!(format!("{credentials:?}"), "Credentials(***)");
    }

    #[test]
    fn a_name_is_looked_for_among_what_systemd_has_loaded() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "camera", "a:b");
        assert_eq!(read_from(Some(folder.path()), Path::new("camera")).unwrap().user, "a");
        let error = read_from(Some(folder.path()), Path::new("no-such")).unwrap_err().to_string();
        assert!(error.starts_with("read credentials file /") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "hunter2", ":hunter2"] {
            let path = file(folder.path(), "bad", text);
            let error = read_from(None, &path).unwrap_err().to_string();
            assert!(error.ends_with("expected USER:PASSWORD on its first line"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
