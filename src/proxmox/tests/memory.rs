//! An upload takes the same memory whatever its size.

use proxmox::Source;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::support::{Outcome, client, server, upload};

/// What is sent: far more than may be resident.
const SIZE: u64 = 384 << 20;

/// Client, server and the other tests that run beside; without a bound, all of `SIZE` would be.
const MOST_RESIDENT: u64 = 128 << 20;

#[tokio::test]
async fn a_large_upload_stays_flat() -> Outcome {
    let server = server();
    let mut hasher = Sha256::new();
    let zeros = vec![0; 1 << 20];
    for _ in 0..SIZE >> 20 {
        hasher.update(&zeros);
    }
    let sha256 = hex::encode(hasher.finalize());
    let source = Source::new(SIZE, sha256, || async {
        Ok(tokio::io::repeat(0).take(SIZE))
    });
    client(&server)
        .upload(&upload("pve01", "local", "large.iso"), &source, None)
        .await?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok())
        .ok_or("no peak in /proc/self/status")?
        << 10;
    assert!(peak < MOST_RESIDENT, "{} MiB were resident", peak >> 20);
    Ok(())
}
