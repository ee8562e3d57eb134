//! SHA-256 of files and bytes.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{LazyLock, Mutex},
};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

/// A hash of what arrives piece by piece.
pub(crate) struct Running(Context);

impl Running {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Lower-case hex.
    pub(crate) fn finish(self) -> String {
        hex::encode(self.0.finish())
    }
}

/// Of bytes, lower-case hex.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// Of a file, lower-case hex.
pub(crate) fn file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut running = Running::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(running.finish()),
            count => running.update(&buffer[..count]),
        }
    }
}

/// Which file it is and when it last changed: as long as this stays, its content stays. The kernel
/// sets the change time (`st_ctim`, inode(7)); no call sets it to a wished value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    /// Seconds since 1970, and nanoseconds.
    changed: (i64, i64),
}

impl Identity {
    /// # Errors
    /// The file is not there, or may not be looked at.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            size_bytes: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

static KNOWN: LazyLock<Mutex<HashMap<Identity, String>>> = LazyLock::new(Mutex::default);

/// Hash of a program as it was taken earlier, by this process or, from the ledger, by a former one.
pub(crate) fn remember(identity: Identity, sha256: String) {
    KNOWN
        .lock()
        .expect("no holder panics")
        .insert(identity, sha256);
}

/// Of a program, remembered for as long as it is the same file: several members of a host run one
/// program, and hashing all of them takes longer than everything else that a plan looks at.
pub(crate) fn program(path: &Path) -> io::Result<String> {
    let identity = Identity::of(path)?;
    if let Some(known) = KNOWN.lock().expect("no holder panics").get(&identity) {
        return Ok(known.clone());
    }
    let sha256 = file(path)?;
    remember(identity, sha256.clone());
    Ok(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_program_that_changed_is_hashed_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("program");
        fs::write(&path, "abc").expect("a file");
        assert_eq!(program(&path).expect("a hash"), ABC);
        assert_eq!(bytes(b"abc"), ABC);
        fs::write(&path, "abcd").expect("a file");
        assert_ne!(program(&path).expect("a hash"), ABC);
    }
    #[test]
    fn what_is_remembered_holds_only_for_the_same_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("program");
        fs::write(&path, "xyz").expect("a file");
        let identity = Identity::of(&path).expect("its identity");
        remember(identity, "as recorded".to_owned());
        assert_eq!(program(&path).expect("a hash"), "as recorded");
        // The same name, size and content: another file.
        fs::write(directory.path().join("other"), "abc").expect("a file");
        fs::rename(directory.path().join("other"), &path).expect("its place");
        assert_eq!(program(&path).expect("a hash"), ABC);
    }
}
