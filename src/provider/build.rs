//! Puts the helper that runs on hosts into the provider, compressed.
//!
//! `ETCD_NODE_EMBED` names the static `etcd-node` program. Without it the build carries none, and
//! reads the one that `ETCD_NODE_PATH` names when it runs.

#[path = "../node/sources.rs"]
mod sources;

use std::{env, error::Error, fs, path::Path};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=ETCD_NODE_EMBED");
    let out = env::var("OUT_DIR")?;
    let code = match env::var("ETCD_NODE_EMBED") {
        Ok(path) if !path.is_empty() => {
            println!("cargo::rerun-if-changed={path}");
            embed(Path::new(&path), Path::new(&out))?
        }
        _ => "&[]".to_owned(),
    };
    fs::write(Path::new(&out).join("helpers.rs"), code)?;
    Ok(())
}

/// The table of helpers as code: architecture by ELF machine number, compressed bytes, SHA-256.
fn embed(path: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let program = fs::read(path)?;
    let directory = env::var("CARGO_MANIFEST_DIR")?;
    let src = Path::new(&directory).parent().ok_or("no directory above")?;
    let wanted = format!("{}{}", sources::MARK, sources::digest(src)?);
    if !program
        .windows(wanted.len())
        .any(|bytes| bytes == wanted.as_bytes())
    {
        return Err(format!(
            "{} is built from other sources than these; build it anew with `cargo build --release -p node \
             --bin etcd-node`, with the same target",
            path.display()
        )
        .into());
    }
    let architecture = match program.get(18..20) {
        Some([0x3e, 0]) => "Amd64",
        Some([0xb7, 0]) => "Arm64",
        _ => {
            return Err(
                format!("{} is no program for a known architecture", path.display()).into(),
            );
        }
    };
    let gzip = out.join("etcd-node.gz");
    let mut encoder = GzEncoder::new(fs::File::create(&gzip)?, Compression::best());
    std::io::Write::write_all(&mut encoder, &program)?;
    encoder.finish()?;
    let sha256 = hex::encode(Sha256::digest(&program));
    Ok(format!(
        "&[(::host::Architecture::{architecture}, include_bytes!({:?}).as_slice(), {sha256:?})]",
        gzip.display().to_string()
    ))
}
