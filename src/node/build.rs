//! Tells the helper what it is built from.

#[path = "sources.rs"]
mod sources;

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::var("CARGO_MANIFEST_DIR")?;
    let src = Path::new(&directory).parent().ok_or("no directory above")?;
    let digest = sources::digest(src)?;
    println!(
        "cargo::rustc-env=ETCD_NODE_SOURCES={}{digest}",
        sources::MARK
    );
    Ok(())
}
