//! Factories, the imager, and copies.

use expect_test::expect;

use super::{applied, check, installer};
use crate::{
    problem::Problems,
    talos_artifact::{
        Desired, Recorded, Wish,
        fixture::{World, copy_wish, handle, imager_wish, proxmox, read, wish},
    },
};

#[test]
fn a_schematic_that_the_factory_lost_is_given_again() {
    let mut world = check(
        &wish(),
        &[],
        |world| world.schematics.clear(),
        &expect![[r#"
        drift: the factory https://factory.talos.dev does not know the schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        status: the factory https://factory.talos.dev does not know the schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515"#]],
    );
    expect!["give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev"].assert_eq(&world.run(&read(&wish())));
}

#[test]
fn another_factory_is_given_the_schematic_too() {
    let (_, world) = applied(&wish(), &["resources"]);
    let moved = read(&Wish {
        factory_url: Some("https://factory.example".to_owned()),
        ..wish()
    });
    let told = world.told(&moved);
    let id = moved.artifact_id();
    assert!(
        told.contains(&format!("give schematic {id} to https://factory.example")),
        "{told}"
    );
    // A record of before knew the id alone.
    let (desired, mut old) = applied(&wish(), &["resources"]);
    old.recorded.schematic_factory = None;
    assert_eq!(old.told(&desired), "status: ready");
}

/// A factory's image that is put nowhere: others distribute it.
fn nowhere() -> Wish {
    Wish {
        proxmox: Vec::new(),
        ..wish()
    }
}

#[test]
fn checksum_and_digest_are_known_also_where_nothing_is_put_anywhere() {
    let desired = read(&nowhere());
    let mut world = World::new(&[]);
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        compute the checksum of the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    let observed = world.observe(&desired);
    assert!(observed.bytes(&desired).is_some());
    let digest = observed.recorded.installer_digest(&desired);
    assert!(
        digest.as_ref().is_some_and(|digest| digest.starts_with(
            "factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515@sha256:"
        )),
        "{digest:?}"
    );
    // Whoever has an installer of their own is told that one's digest.
    let own = read(&installer(nowhere()));
    assert_eq!(observed.recorded.installer_digest(&own), None);
    // The factory is not asked again, also where it did not tell.
    if let Some(known) = &mut world.recorded.factory_installer {
        known.digest = None;
    }
    assert_eq!(world.told(&desired), "status: ready");
    // While it is silent, nobody waits for a digest.
    world.recorded.factory_installer = None;
    world.factory_is_down = true;
    expect![[r#"
        unseen: the factory https://factory.talos.dev does not answer: connection refused
        status: ready"#]]
    .assert_eq(&world.told(&desired));
}

#[test]
fn the_imager_builds_once_for_all_machines() {
    let desired = read(&imager_wish());
    let mut world = World::new(&[]);
    expect![[r#"
        build the ISO for nocloud
        build the installer for nocloud
        put the image in ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01
        push the installer to ghcr.io/sulibot/talos-frr-installer:v1.11.5-4cd0adb5"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    // Another machine with a state of its own wants the same on another node.
    let elsewhere = read(&Wish {
        proxmox: vec![proxmox("local", &["pve02"])],
        ..imager_wish()
    });
    let mut other = World {
        recorded: Recorded::default(),
        ..world.clone()
    };
    expect![[r#"
        fetch the image from ghcr.io/sulibot/talos-images@sha256:93bf7aa1932d61a8862141a4f34f9cbeac57a478add6b1f8b4c3e3be9759594b
        take over ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b, which leads to sha256:93bf7aa1932d61a8862141a4f34f9cbeac57a478add6b1f8b4c3e3be9759594b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve02
        take over ghcr.io/sulibot/talos-frr-installer:v1.11.5-4cd0adb5, which leads to sha256:61f8fe51e58185925d8fee6c95dcbc48ba673b81d0a0656361c5c9223b4c997a"#]].assert_eq(&other.run(&elsewhere));
    assert_eq!(other.told(&elsewhere), "status: ready");
    assert_eq!(other.builds, 2);
    // A file that is gone comes from the registry, and from nowhere while that is silent.
    world.files.clear();
    expect![[r#"
        fetch the image from ghcr.io/sulibot/talos-images@sha256:93bf7aa1932d61a8862141a4f34f9cbeac57a478add6b1f8b4c3e3be9759594b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01"#]].assert_eq(&world.clone().run(&desired));
    world.registry_is_down = true;
    expect![[r#"
        drift: pve01: local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso is gone
        waits: the registry of ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b does not answer, and the image may be there: connection refused
        unseen: the registry of ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b does not answer: connection refused
        unseen: the registry of ghcr.io/sulibot/talos-frr-installer:v1.11.5-4cd0adb5 does not answer: connection refused
        status: pve01: local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso is gone"#]]
    .assert_eq(&world.told(&desired));
    assert_eq!(world.builds, 2);
}

#[test]
fn a_killed_apply_is_taken_up_without_building_again() {
    let (desired, mut world) = applied(&imager_wish(), &[]);
    world.recorded = Recorded::default();
    expect![[r#"
        take over ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b, which leads to sha256:93bf7aa1932d61a8862141a4f34f9cbeac57a478add6b1f8b4c3e3be9759594b
        take over local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01, if it has the size of the image
        take over ghcr.io/sulibot/talos-frr-installer:v1.11.5-4cd0adb5, which leads to sha256:61f8fe51e58185925d8fee6c95dcbc48ba673b81d0a0656361c5c9223b4c997a"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    assert_eq!(world.builds, 2);
}

#[test]
fn a_copy_brings_the_image_of_another_artifact_to_other_nodes() {
    let (source, mut world) = applied(&wish(), &["resources"]);
    let given = handle(&source, &world);
    world.recorded = Recorded::default();
    let mut problems = Problems::default();
    let copy = Desired::read_copy(&copy_wish(given), &mut problems).expect("a copy");
    expect![[r#"
        fetch the image from its source
        upload local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve04"#]]
    .assert_eq(&world.run(&copy));
    assert_eq!(world.told(&copy), "status: ready");
    assert_eq!(copy.file_name, source.file_name);
    assert_eq!(copy.installer_image(), source.installer_image());
    world
        .files
        .retain(|(storage, ..), _| storage == "resources");
    expect![[r#"
        drift: pve04: local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone
        fetch the image from its source
        upload local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve04
        status: pve04: local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone"#]]
    .assert_eq(&world.told(&copy));
}

#[test]
fn a_copy_whose_hash_is_known_needs_no_bytes_here() {
    let (source, mut world) = applied(&wish(), &["resources"]);
    let mut wished = copy_wish(handle(&source, &world));
    world.recorded = Recorded::default();
    wished.proxmox[0].transfer = Some("download".to_owned());
    let copy = Desired::read_copy(&wished, &mut Problems::default()).expect("a copy");
    expect!["let the node download local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve04"]
        .assert_eq(&world.run(&copy));
    assert_eq!(world.told(&copy), "status: ready");
}
