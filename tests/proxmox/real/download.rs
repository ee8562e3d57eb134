//! `proxmox_virtual_environment_download_file`: the node fetches.

use std::fs;

use proxmox_server::Files;
use sha2::{Digest as _, Sha256};

use crate::site::{Login, Outcome, Site, until};

fn configuration(url: &str, checksum: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_download_file" "image" {{
  content_type       = "iso"
  datastore_id       = "local"
  node_name          = "pve02"
  file_name          = "talos.iso"
  url                = "{url}"
  checksum           = "{checksum}"
  checksum_algorithm = "sha256"
}}
output "id" {{ value = proxmox_virtual_environment_download_file.image.id }}
output "size" {{ value = proxmox_virtual_environment_download_file.image.size }}
"#
    )
}

#[tokio::test]
async fn fetches_sees_drift_and_removes() -> Outcome {
    let site = Site::new(Login::Token)?;
    site.server.slow_tasks(1);
    let bytes = vec![7; 1 << 20];
    let files = Files::new(&bytes).await?;
    let checksum = hex::encode(Sha256::digest(&bytes));
    site.configure(&configuration(&files.url("talos.iso"), &checksum))?;
    let applied = site.apply().await?;
    applied.expect(0).says("id = \"local:iso/talos.iso\"");
    applied.says("size = 1048576");
    assert_eq!(site.server.count("GET", "/query-url-metadata"), 1);
    let there = site.server.path("pve02", "local", "iso", "talos.iso");
    assert!(fs::read(&there)? == bytes);
    site.plan().await?.expect(0);

    fs::write(&there, b"cut off")?;
    site.plan().await?.expect(2);
    fs::remove_file(&there)?;
    site.plan().await?.expect(2).says("will be created");
    site.apply().await?.expect(0);
    site.plan().await?.expect(0);

    site.destroy().await?.expect(0);
    until("the file is gone", || site.server.files().is_empty()).await;
    Ok(())
}

#[tokio::test]
async fn an_existing_file_and_a_wrong_checksum_are_refused() -> Outcome {
    let site = Site::new(Login::Token)?;
    let files = Files::new(b"content").await?;
    let wrong = "00".repeat(32);
    site.configure(&configuration(&files.url("talos.iso"), &wrong))?;
    site.apply()
        .await?
        .expect(1)
        .says("checksum mismatch: got '");
    assert!(site.server.files().is_empty());

    site.server
        .put("pve02", "local", "iso", "talos.iso", b"another")?;
    let right = hex::encode(Sha256::digest(b"content"));
    site.configure(&configuration(&files.url("talos.iso"), &right))?;
    site.apply().await?.expect(1);
    let there = site.server.path("pve02", "local", "iso", "talos.iso");
    assert_eq!(fs::read(&there)?, b"another");
    Ok(())
}
