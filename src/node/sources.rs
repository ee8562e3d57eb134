//! A digest of what the helper is built from, for the build scripts of the helper and of the provider.
//!
//! Fields that an older helper does not know are empty on the wire, and a check that needs them finds
//! nothing: so a provider refuses to be built around a helper of other sources.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// What stands before the digest in the helper's program.
pub(crate) const MARK: &str = "sources ";

/// Crates below `src/` that the helper consists of; its wire format is generated code in the first.
const CRATES: [&str; 2] = ["node", "planner"];

/// SHA-256 of the sources below `src/`, in hexadecimal. Cargo is told to look at them again.
///
/// # Errors
/// A source cannot be read.
pub(crate) fn digest(src: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for name in CRATES {
        let directory = src.join(name);
        println!("cargo::rerun-if-changed={}", directory.display());
        collect(&directory, &mut files)?;
    }
    files.sort();
    let mut hasher = Sha256::new();
    for path in files {
        hasher.update(
            path.strip_prefix(src)
                .unwrap_or(&path)
                .to_string_lossy()
                .as_bytes(),
        );
        hasher.update(fs::read(&path)?);
    }
    Ok(hex::encode(hasher.finalize()))
}

/// Rust files that are no tests.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if is_test {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
