//! Files on storages: shared ones, and those of each node.

use expect_test::expect;

use super::{applied, check, installer};
use crate::talos_artifact::{
    Observed, announce_creation, drift,
    fixture::{World, imager_wish, proxmox, read, told, wish},
    plan, plan_removal,
};

#[test]
fn a_creation_is_announced_before_anything_is_known() {
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&announce_creation(&read(&wish())).join("\n"));
    expect![[r#"
        build the ISO for nocloud
        build the installer for nocloud
        put the image in ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01
        push the installer to ghcr.io/sulibot/talos-frr-installer:v1.11.5-4cd0adb5"#]].assert_eq(&announce_creation(&read(&imager_wish())).join("\n"));
}

#[test]
fn a_shared_storage_gets_the_image_once() {
    let desired = read(&wish());
    let mut world = World::new(&["resources"]);
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    assert_eq!(world.files.len(), 1);
    assert_eq!(world.run(&desired), "");
    let observed = world.observe(&desired);
    assert_eq!(observed.store(), world.observe(&desired).store());
    assert_eq!(desired.file_ids().len(), 3);
}

#[test]
fn storages_of_their_own_get_it_each() {
    let desired = read(&wish());
    let mut world = World::new(&[]);
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
}

#[test]
fn a_file_that_is_gone_or_other_is_drift_and_is_mended() {
    let gone = |world: &mut World| {
        world.files.retain(|(_, node, _), _| node != "pve02");
    };
    let mut world = check(
        &wish(),
        &[],
        gone,
        &expect![[r#"
            drift: pve02: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone
            fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
            upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02
            status: pve02: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone"#]],
    );
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02"#]].assert_eq(&world.run(&read(&wish())));
    let other = |world: &mut World| {
        for ((_, node, _), file) in &mut world.files {
            if node == "pve03" {
                file.size = 12;
            }
        }
    };
    let mut world = check(
        &wish(),
        &[],
        other,
        &expect![[r#"
            drift: pve03: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso has 12 bytes instead of 4295927866903
            fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
            upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03, in place of another
            status: pve03: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso has 12 bytes instead of 4295927866903"#]],
    );
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03, in place of another"#]].assert_eq(&world.run(&read(&wish())));
    check(
        &wish(),
        &["resources"],
        |world| world.files.clear(),
        &expect![[r#"
            drift: resources (shared): resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone
            fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
            upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
            status: resources (shared): resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone"#]],
    );
}

#[test]
fn a_storage_that_cannot_take_it_is_named() {
    let desired = read(&wish());
    let mut world = World::new(&["resources"]);
    world.content = vec!["images".to_owned()];
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5
        refused at proxmox.0.storage: The storage does not take such images
        status: Storage resources has content images, and talos-v1.11.5-nocloud-amd64-ce4c9805.iso needs "iso". Enable it: pvesm set resources --content images,iso"#]].assert_eq(&world.told(&desired));
    world.content = vec!["iso".to_owned()];
    world.available = Some(7);
    world.run(&desired);
    expect![[r#"
        refused at proxmox.0.storage: The storage is full
        status: Storage resources has 7 bytes free, the image has 4295927866903."#]]
    .assert_eq(&world.told(&desired));
}

#[test]
fn a_storage_that_is_not_shared_any_more_leaves_the_file_ours_where_it_is() {
    let (desired, mut world) = applied(&wish(), &["resources"]);
    world.shared.clear();
    let files = std::mem::take(&mut world.files);
    for ((storage, _, volume), file) in files {
        world
            .files
            .insert((storage, "pve01".to_owned(), volume), file);
    }
    world.run(&desired);
    assert_eq!(world.told(&desired), "status: ready");
    assert!(!world.log.iter().any(|step| step.contains("take over")));
    assert_eq!(world.files.len(), 3);
    assert_eq!(plan_removal(&world.observe(&desired)).len(), 3);
}

#[test]
fn facts_that_are_missing_are_as_the_record_says() {
    let (desired, world) = applied(&installer(wish()), &[]);
    let unlooked = Observed {
        recorded: world.recorded.clone(),
        ..Observed::default()
    };
    assert_eq!(plan(&desired, &unlooked).steps, []);
    assert_eq!(drift(&desired, &unlooked), Vec::<String>::new());
    // A node that is new was not looked at.
    let mut more = wish();
    more.proxmox.push(proxmox("local", &["pve04"]));
    expect![[r#"
        upload local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve04
        status: not done yet: upload local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve04"#]]
    .assert_eq(&told(&read(&installer(more)), &world.observe(&desired)));
}
