//! The checkout that the lab belongs to.

use std::path::{Path, PathBuf};

/// Root of the workspace: two directories above this crate.
pub fn root() -> PathBuf {
    // Cargo tells a program that it runs where its crate lies now; the checkout may have moved since it was built.
    let package = std::env::var("CARGO_MANIFEST_DIR")
        .ok()
        .filter(|path| path.ends_with("tests/lab"))
        .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&package)
        .ancestors()
        .nth(2)
        .expect("the crate lies in tests/lab of the workspace")
        .to_owned()
}
