//! Disk images beside ISOs, and images that are put nowhere.

use tests::Outcome;

use crate::scene::{OWN, SHARED, Scene, on_own, on_shared};

const ID: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

#[test]
fn a_raw_image_is_unpacked_on_its_way() -> Outcome {
    let scene = Scene::made(&format!("  image_format = \"raw\"\n{}", on_own()))?;
    let image = scene
        .factory
        .front()
        .image(ID, "v1.11.5", "nocloud-amd64.raw");
    // What the factory gives is packed.
    let builds = scene.factory.front().builds();
    assert!(
        builds.contains(&format!("{ID}/v1.11.5/nocloud-amd64.raw.zst")),
        "{builds:?}"
    );
    assert_eq!(scene.state("sha256")?, image.digest().hex());
    assert_eq!(scene.state("size_bytes")?, image.size_bytes());
    let name = format!("talos-v1.11.5-nocloud-amd64-{}.raw", &ID[..8]);
    let ids = scene.state("talos_image_file_ids")?;
    for node in ["pve01", "pve02", "pve03"] {
        assert_eq!(ids[node], format!("{OWN}:import/{name}"));
        let path = scene.proxmox.path(node, OWN, "import", &name);
        assert!(std::fs::read(path)? == image.bytes(), "{node}");
    }
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn a_qcow2_image_is_imported_as_it_is_by_either_way() -> Outcome {
    let image_of = |scene: &Scene| {
        scene
            .factory
            .front()
            .image(ID, "v1.11.5", "nocloud-amd64.qcow2")
    };
    let name = format!("talos-v1.11.5-nocloud-amd64-{}.qcow2", &ID[..8]);
    for (lines, how) in [
        (on_shared(), "/upload"),
        (
            on_shared().replace("  }\n", "    transfer = \"download\"\n  }\n"),
            "/download-url",
        ),
    ] {
        let scene = Scene::made(&format!("  image_format = \"qcow2\"\n{lines}"))?;
        assert_eq!(scene.proxmox.count("POST", how), 1);
        assert_eq!(
            scene.state("talos_image_file_ids")?["pve02"],
            format!("{SHARED}:import/{name}")
        );
        let path = scene.proxmox.path("pve01", SHARED, "import", &name);
        assert!(std::fs::read(path)? == image_of(&scene).bytes(), "{how}");
        scene.desk.expect_no_change()?;
        scene.desk.destroy()?.expect_ok();
        assert!(scene.proxmox.files().is_empty());
    }
    Ok(())
}

#[test]
fn a_storage_for_isos_takes_no_disk_image() -> Outcome {
    let scene = Scene::new()?;
    let on_isos = "  proxmox {\n    storage = \"isos\"\n    nodes = [\"pve01\", \"pve02\"]\n  }\n";
    scene.artifact(&format!("  image_format = \"raw\"\n{on_isos}"))?;
    scene.desk.init()?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("--content iso,import");
    // Nodes cannot unpack what they fetch.
    let download = on_own().replace("  }\n", "    transfer = \"download\"\n  }\n");
    scene.artifact(&format!("  image_format = \"raw\"\n{download}"))?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Raw images come packed");
    Ok(())
}

#[test]
fn checksum_size_and_digest_are_known_of_what_is_put_nowhere() -> Outcome {
    for (format, path) in [("iso", "nocloud-amd64.iso"), ("raw", "nocloud-amd64.raw")] {
        let scene = Scene::new()?;
        scene.artifact(&format!("  image_format = \"{format}\"\n"))?;
        scene.desk.init()?;
        scene
            .changes()?
            .expect_says("compute the checksum of the image");
        scene.desk.apply()?.expect_ok();
        let image = scene.factory.front().image(ID, "v1.11.5", path);
        let state = scene.desk.state(crate::scene::IMAGE)?;
        assert_eq!(state["sha256"], image.digest().hex());
        assert_eq!(state["size_bytes"], image.size_bytes());
        assert_eq!(state["image"]["sha256"], image.digest().hex());
        let repository = format!("{}/nocloud-installer/{ID}", scene.factory.host());
        assert_eq!(state["installer_image"], format!("{repository}:v1.11.5"));
        let digest = state["installer_image_digest"].as_str().unwrap_or_default();
        assert!(
            digest.starts_with(&format!("{repository}@sha256:")),
            "{digest}"
        );
        assert_eq!(state["image"]["installer_image_digest"], digest);
        scene.desk.expect_no_change()?;
        let cache = scene.desk.directory().join("cache");
        let mut kept = 0;
        let mut folders = vec![cache];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    kept += entry.metadata()?.len();
                }
            }
        }
        assert!(kept < 1 << 20, "the image was kept: {kept} bytes");
    }
    Ok(())
}

#[test]
fn a_factory_that_tells_no_digest_is_no_reason_to_fail() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.factory.front().refuse_installers(true);
    let apply = scene.desk.apply()?;
    apply.expect_ok();
    apply.expect_says("The digest of the installer is not known");
    assert!(scene.state("installer_image_digest")?.is_null());
    assert_eq!(scene.state("status")?, "ready");
    scene.desk.expect_no_change()?;
    Ok(())
}
