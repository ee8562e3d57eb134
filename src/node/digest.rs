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

/// Of a program, remembered for as long as device, inode, size and change time stay: several
/// members of a host run the same one, and it is looked at again and again.
pub(crate) fn program(path: &Path) -> io::Result<String> {
    type Identity = (u64, u64, u64, i64, i64);
    static KNOWN: LazyLock<Mutex<HashMap<Identity, String>>> = LazyLock::new(Mutex::default);
    let found = fs::metadata(path)?;
    let identity = (
        found.dev(),
        found.ino(),
        found.size(),
        found.ctime(),
        found.ctime_nsec(),
    );
    if let Some(known) = KNOWN.lock().expect("no holder panics").get(&identity) {
        return Ok(known.clone());
    }
    let sha256 = file(path)?;
    KNOWN
        .lock()
        .expect("no holder panics")
        .insert(identity, sha256.clone());
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
}
