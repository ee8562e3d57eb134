//! Checksums of files.

use std::{fs::File, io, io::Read as _, path::Path};

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// Hex digest of a file.
pub(crate) fn of_file(path: &Path, algorithm: &str) -> Result<String, String> {
    let digest = match algorithm {
        "sha224" => read::<Sha224>(path),
        "sha256" => read::<Sha256>(path),
        "sha384" => read::<Sha384>(path),
        "sha512" => read::<Sha512>(path),
        other => return Err(format!("this server does not compute {other}")),
    };
    digest.map_err(|error| format!("unable to open '{}': {error}", path.display()))
}

fn read<D: Digest>(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = D::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}
