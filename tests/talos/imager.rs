//! Images that the imager makes on a host of the user's: built once, and never again for want of a file.

use std::fs;

use lab::build_host::{self, GATE};
use tests::Outcome;

use crate::{
    scene::{OWN, SHARED, on_own, on_shared},
    workshop::{Workshop, state},
};

/// The image in the registry, as the state names it.
fn reference(desk: &tests::Desk) -> Result<registry::Reference, Box<dyn std::error::Error>> {
    let oci = state(desk, "image")?["oci"].clone();
    let oci = oci.as_str().unwrap_or_default();
    assert!(oci.contains("@sha256:"), "{oci}");
    Ok(oci.parse()?)
}

fn registries() -> Result<registry::Registries, registry::Error> {
    registry::Registries::new(registry::Settings {
        keychain: registry::Keychain::anonymous(),
        ..registry::Settings::default()
    })
}

#[test]
fn an_image_in_a_registry_is_built_once_for_all() -> Outcome {
    let shop = Workshop::new("imager")?;
    let scene = &shop.scene;
    let local = scene.desk.directory().join("out/talos.iso");
    let content = format!(
        "{}  extension_images = [\"ghcr.io/example/frr:v1\"]\n  kernel_args = [\"console=ttyS0\"]\n  meta = {{ \
         \"10\" = \"x\" }}\n",
        shop.in_registry(),
    );
    let places = format!("{}  local_file = \"{}\"\n", on_own(), local.display());
    shop.artifact(&scene.desk, &format!("{content}{places}"))?;
    scene.desk.init()?;
    let plan = scene.changes()?;
    plan.expect_says("build the ISO for nocloud");
    plan.expect_says("build the installer for metal");
    scene.desk.apply()?.expect_ok();
    assert_eq!(shop.builds()?, 2, "one ISO, one installer");
    // Where it lasts is the registry: the host is as it was, with the image of the imager gone too.
    assert_eq!(shop.changes()?, Vec::<String>::new());
    assert_eq!(build_host::images(shop.host())?, Vec::<String>::new());
    scene.desk.expect_no_change()?;

    let registries = registries()?;
    let place = reference(&scene.desk)?;
    let find = registries.find_artifact(&place);
    let found = scene.runtime.block_on(find)?.expect("it is there");
    let sha256 = state(&scene.desk, "sha256")?;
    assert_eq!(sha256, found.file.digest.hex());
    assert_eq!(sha256, registry::Digest::of(&fs::read(&local)?).hex());
    assert_eq!(scene.proxmox.files().len(), 3);
    let name = state(&scene.desk, "talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    for node in ["pve01", "pve02", "pve03"] {
        let file = fs::read(scene.proxmox.path(node, OWN, "iso", name))?;
        assert_eq!(sha256, registry::Digest::of(&file).hex());
    }
    let digest = state(&scene.desk, "installer_image_digest")?;
    let installer: registry::Reference = digest.as_str().unwrap_or_default().parse()?;
    assert!(
        scene
            .runtime
            .block_on(registries.look(&installer))?
            .is_some()
    );

    // From here on nothing can be built: the registry is enough, also for a runner with an empty cache.
    shop.host().kill()?;
    fs::remove_file(scene.proxmox.path("pve02", OWN, "iso", name))?;
    fs::remove_file(&local)?;
    fs::remove_dir_all(scene.desk.directory().join("cache"))?;
    let plan = scene.changes()?;
    plan.expect_says(&format!("pve02: {OWN}:iso/{name} is gone"));
    assert!(!plan.text.contains("+ \"build the"), "{plan}");
    assert!(
        !plan.text.contains("~ sha256"),
        "the bytes are known: {plan}"
    );
    scene.desk.apply()?.expect_ok();
    assert_eq!(state(&scene.desk, "sha256")?, sha256);
    assert_eq!(scene.proxmox.files().len(), 3);
    scene.desk.expect_no_change()?;

    // Nor does a second state of the same content need a build host, nor a copy of it.
    let other = shop.desk()?;
    shop.artifact(&other, &content)?;
    let copy = on_shared();
    other.write(
        "copy.tf",
        &format!(
            "resource \"talos_artifact_copy\" \"copy\" {{\n  provider = etcd\n  source   = talos_artifact.image.image\n{copy}}}\n"
        ),
    )?;
    other.init()?;
    other.apply()?.expect_ok();
    assert_eq!(state(&other, "sha256")?, sha256);
    assert_eq!(state(&other, "installer_image_digest")?, digest);
    assert_eq!(scene.proxmox.files().len(), 4);
    other.expect_no_change()?;
    other.destroy()?.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 3);

    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    assert!(!local.exists());
    // Other clusters may install from it.
    assert!(
        scene
            .runtime
            .block_on(registries.look(&installer))?
            .is_some()
    );
    shop.down()
}

#[test]
fn an_image_without_a_registry_stays_on_the_build_host_until_it_is_destroyed() -> Outcome {
    let shop = Workshop::new("kept")?;
    let scene = &shop.scene;
    // Nothing but directories of the build host: no network is needed.
    let lines = format!("{}  extension_images = [\"oci:{GATE}\"]\n", on_shared());
    shop.artifact(&scene.desk, &lines)?;
    scene.desk.init()?;
    scene.changes()?.expect_says("kept on the build host only");
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(shop.builds()?, 1);
    let sha256 = state(&scene.desk, "sha256")?;
    let name = state(&scene.desk, "talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    fs::remove_file(scene.proxmox.path("pve01", SHARED, "iso", name))?;
    fs::remove_dir_all(scene.desk.directory().join("cache"))?;
    scene.changes()?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(shop.builds()?, 1, "it was built again");
    assert_eq!(state(&scene.desk, "sha256")?, sha256);

    // Other content takes the place of the former on the host too.
    shop.artifact(&scene.desk, &on_shared())?;
    scene.desk.apply()?.expect_ok();
    assert_eq!(shop.builds()?, 2);
    let builds = shop
        .host()
        .root_text(&["ls", "/var/lib/etcd-node/builds"])?;
    assert_eq!(
        builds.lines().count(),
        2,
        "a build and the list of images: {builds}"
    );
    scene.desk.destroy()?.expect_ok();
    assert_eq!(shop.changes()?, Vec::<String>::new());
    assert_eq!(build_host::images(shop.host())?, Vec::<String>::new());
    assert!(scene.proxmox.files().is_empty());
    shop.down()
}
