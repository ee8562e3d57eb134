//! What a lab's hosts are reached with: one SSH key, and one password where sudo asks for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::{self, run};
use crate::root;

/// A key or password could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key that logs in.
    #[error("make the lab's SSH key")]
    Key {
        /// What failed.
        source: command::Error,
    },
    /// The kernel's random numbers.
    #[error("read {RANDOM}")]
    Random {
        /// Why.
        source: io::Error,
    },
    /// The file of the password.
    #[error("keep the password of sudo")]
    Password {
        /// What failed.
        source: root::Error,
    },
}

/// 122 random bits as text.
const RANDOM: &str = "/proc/sys/kernel/random/uuid";

/// Private key in a lab's directory; the public one has `.pub` appended.
pub(crate) fn key_file(lab_directory: &Path) -> PathBuf {
    lab_directory.join("id_ed25519")
}

/// Password of sudo in a lab's directory.
pub(crate) fn password_file(lab_directory: &Path) -> PathBuf {
    lab_directory.join("sudo_password")
}

/// Makes the key of the lab `name`.
pub(crate) fn make_key(lab_directory: &Path, name: &str) -> Result<(), Error> {
    let key = key_file(lab_directory).display().to_string();
    let comment = format!("etcd-lab-{name}");
    run(&[
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        &comment,
        "-f",
        &key,
    ])
    .map_err(|source| Error::Key { source })?;
    Ok(())
}

/// Makes the password, if the lab has none.
pub(crate) fn ensure_password(lab_directory: &Path) -> Result<(), Error> {
    let path = password_file(lab_directory);
    if path.exists() {
        return Ok(());
    }
    let random = fs::read_to_string(RANDOM).map_err(|source| Error::Random { source })?;
    root::write_file(&path, 0o600, &random).map_err(|source| Error::Password { source })
}
