//! From nothing to an image everywhere, changed, and gone again.

use tests::Outcome;

use crate::scene::{SHARED, Scene, on_own, on_shared};

const EXTENSIONS: &str = "  extensions = [\"siderolabs/qemu-guest-agent\"]\n";

/// Known for this schematic since it stands in the documentation of Talos.
const ID: &str = "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515";

#[test]
fn an_image_gets_on_a_shared_storage_once_and_goes_with_its_resource() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&format!("{EXTENSIONS}{}", on_shared()))?;
    scene.desk.init()?;
    let plan = scene.changes()?;
    // Known before anything is made.
    plan.expect_says(ID);
    let name = format!("talos-v1.11.5-nocloud-amd64-{}.iso", &ID[..8]);
    plan.expect_says(&format!("{SHARED}:iso/{name}"));
    plan.expect_says(&format!("upload {SHARED}:iso/{name}"));
    scene.desk.apply()?.expect_ok();
    assert_eq!(
        scene.proxmox.count("POST", "/upload"),
        1,
        "once for all nodes"
    );
    assert_eq!(scene.proxmox.files().len(), 1);
    let front = scene.factory.front();
    let image = front.image(ID, "v1.11.5", "nocloud-amd64.iso");
    assert_eq!(scene.state("sha256")?, image.digest().hex());
    assert_eq!(scene.state("size_bytes")?, image.size_bytes());
    assert_eq!(scene.state("status")?, "ready");
    let ids = scene.state("talos_image_file_ids")?;
    assert_eq!(ids["pve01"], ids["pve03"]);
    for _ in 0..2 {
        scene.desk.expect_no_change()?;
    }
    // The image, and the installer whose digest is told.
    assert_eq!(front.builds().len(), 2, "{:?}", front.builds());

    // Other content: a new file beside the old one, which machines still boot from.
    scene.artifact(&on_shared())?;
    let plan = scene.changes()?;
    assert!(!plan.text.contains("remove "), "{plan}");
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.files().len(), 2);
    // It goes when that is said.
    scene.artifact(&format!("  keep_previous = false\n{}", on_shared()))?;
    let step = format!("remove {SHARED}:iso/{name} on pve01 (shared)");
    scene.changes()?.expect_says(&step);
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    let files = scene.proxmox.files();
    assert_eq!(files.len(), 1, "{files:?}");

    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn each_node_gets_its_own_and_a_file_that_is_gone_comes_back() -> Outcome {
    let scene = Scene::made(&format!("{EXTENSIONS}{}", on_own()))?;
    assert_eq!(scene.proxmox.count("POST", "/upload"), 3);
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    std::fs::remove_file(scene.proxmox.path("pve02", "local", "iso", name))?;
    scene
        .changes()?
        .expect_says(&format!("pve02: local:iso/{name} is gone"));
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(
        scene.proxmox.count("POST", "/upload"),
        4,
        "on one node only"
    );

    std::fs::write(scene.proxmox.path("pve03", "local", "iso", name), "short")?;
    let size = scene.state("size_bytes")?;
    scene.changes()?.expect_says(&format!(
        "pve03: local:iso/{name} has 5 bytes instead of {size}"
    ));
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn an_installer_and_the_image_go_to_a_registry_and_a_moved_tag_is_said() -> Outcome {
    let scene = Scene::new()?;
    let host = scene.registry.host().to_owned();
    scene.artifact(&format!(
        "{EXTENSIONS}  artifact_repository = \"{host}/images\"\n  installer {{\n    repository = \
         \"{host}/installer\"\n    platform   = \"metal\"\n  }}\n"
    ))?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    let tag = scene.state("installer_image")?;
    let tag = tag.as_str().unwrap_or_default().to_owned();
    assert!(
        tag.starts_with(&format!("{host}/installer:v1.11.5-")),
        "{tag}"
    );
    let digest = scene.state("installer_image_digest")?;
    assert!(
        digest
            .as_str()
            .is_some_and(|digest| digest.contains("@sha256:")),
        "{digest}"
    );
    assert!(
        scene.state("image")?["oci"]
            .as_str()
            .is_some_and(|oci| oci.contains("@sha256:"))
    );

    // Somebody moves the tag.
    let registries = registry::Registries::new(registry::Settings {
        keychain: registry::Keychain::anonymous(),
        ..registry::Settings::default()
    })?;
    let at: registry::Reference = tag.parse()?;
    let other = scene.state("image")?["oci"].clone();
    let other: registry::Reference = other.as_str().unwrap_or_default().parse()?;
    let silent = registry::Progress::silent();
    scene
        .runtime
        .block_on(registries.copy(&other, &at, true, &silent))?;
    scene
        .changes()?
        .expect_says(&format!("tag {tag} leads to another image"));
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.state("installer_image_digest")?, digest);
    // Other clusters may install from it.
    scene.desk.destroy()?.expect_ok();
    assert!(scene.runtime.block_on(registries.look(&at))?.is_some());
    Ok(())
}

#[test]
fn a_copy_brings_what_another_artifact_made() -> Outcome {
    let scene = Scene::new()?;
    let copy = format!(
        "resource \"talos_artifact\" \"image\" {{\n  provider = etcd\n  talos_version = \"1.11.5\"\n  \
         kubernetes_version = \"v1.31.4\"\n}}\nresource \"talos_artifact_copy\" \"copy\" {{\n  provider = \
         etcd\n  source = talos_artifact.image.image\n{}}}\n",
        on_own()
    );
    scene.write(&copy)?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    let state = scene.desk.state("talos_artifact_copy.copy")?;
    assert_eq!(state["talos_version"], "v1.11.5");
    assert_eq!(state["kubernetes_version"], "1.31.4");
    assert_eq!(scene.proxmox.files().len(), 3);
    let ids = state["talos_image_file_ids"]
        .as_object()
        .map(serde_json::Map::len);
    assert_eq!(ids, Some(3));
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn nodes_fetch_the_image_themselves_with_our_checksum() -> Outcome {
    let lines = on_own().replace("  }\n", "    transfer = \"download\"\n  }\n");
    let scene = Scene::made(&lines)?;
    assert_eq!(scene.proxmox.count("POST", "/upload"), 0);
    assert_eq!(scene.proxmox.count("POST", "/download-url"), 3);
    assert_eq!(scene.proxmox.files().len(), 3);
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    Ok(())
}
