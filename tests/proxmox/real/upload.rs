//! `proxmox_virtual_environment_file`: the provider sends a local file.

use std::fs;

use proxmox_server::{Effect, Fault, TaskEnd};

use crate::site::{Login, Outcome, Site, until};

fn configuration(path: &std::path::Path, storage: &str, node: &str) -> String {
    format!(
        r#"
resource "proxmox_virtual_environment_file" "image" {{
  content_type = "iso"
  datastore_id = "{storage}"
  node_name    = "{node}"
  source_file {{
    path      = "{}"
    file_name = "talos.iso"
  }}
}}
output "id" {{ value = proxmox_virtual_environment_file.image.id }}
"#,
        path.display()
    )
}

#[tokio::test]
async fn sends_sees_drift_and_removes_with_a_token_and_with_a_ticket() -> Outcome {
    for (login, storage, node) in [
        (Login::Token, "local", "pve01"),
        (Login::Password, "resources", "pve02"),
    ] {
        let site = Site::new(login)?;
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let path = site.file("image.iso", &bytes)?;
        site.configure(&configuration(&path, storage, node))?;
        let applied = site.apply().await?;
        applied
            .expect(0)
            .says(&format!("id = \"{storage}:iso/talos.iso\""));
        let there = site.server.path(node, storage, "iso", "talos.iso");
        assert!(fs::read(&there)? == bytes);
        assert_eq!(site.server.count("POST", "/upload"), 1);
        site.plan().await?.expect(0);

        fs::remove_file(&there)?;
        site.plan().await?.expect(2).says("will be created");
        site.apply().await?.expect(0);
        assert!(fs::read(&there)? == bytes);

        site.destroy().await?.expect(0);
        // The provider does not wait for the end of a removal.
        until("the file is gone", || site.server.files().is_empty()).await;
        assert_eq!(site.server.count("DELETE", "/content/"), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_task_that_fails_late_fails_the_apply() -> Outcome {
    let site = Site::new(Login::Token)?;
    site.server.hide_tasks(1);
    let error = "cp: error writing: Input/output error".to_owned();
    site.server.end_task("imgcopy", TaskEnd::Halfway(error));
    let path = site.file("image.iso", b"content")?;
    site.configure(&configuration(&path, "local", "pve01"))?;
    site.apply()
        .await?
        .expect(1)
        .says("import failed: cp: error writing: Input/output error");
    assert!(site.server.files().is_empty());
    site.apply().await?.expect(0);
    Ok(())
}

#[tokio::test]
async fn a_reason_in_the_status_line_is_shown() -> Outcome {
    let site = Site::new(Login::Token)?;
    let path = site.file("image.iso", b"content")?;
    site.configure(&configuration(&path, "rbd-vm", "pve01"))?;
    site.apply().await?.expect(1);
    site.configure(&configuration(&path, "local", "pve01"))?;
    let refused = Effect::Answer(
        403,
        "Permission check failed (/storage/local, Datastore.AllocateTemplate)".to_owned(),
    );
    site.server.fault(Fault::once("/upload", refused));
    site.apply()
        .await?
        .expect(1)
        .says("Permission check failed (/storage/local, Datastore.AllocateTemplate)");
    Ok(())
}
