use expect_test::{Expect, expect};

use crate::{
    facts::Fact,
    problem::Problems,
    talos_artifact::{
        Absent, Begun, Bytes, Desired, InstallerWish, LocalSeen, Observed, Recorded, StorageSeen,
        TagSeen, Wish, announce_creation, drift,
        fixture::{File, World, bytes, copy_wish, handle, imager_wish, proxmox, read, told, wish},
        forget_unreachable, left_by_removal, plan, plan_removal, status,
    },
};

/// A world in which the wish was applied.
fn applied(wish: &Wish, shared: &[&str]) -> (Desired, World) {
    let desired = read(wish);
    let mut world = World::new(shared);
    world.run(&desired);
    assert_eq!(world.told(&desired), "status: ready");
    (desired, world)
}

/// What a plan says after a change of the world.
fn check(wish: &Wish, shared: &[&str], change: impl Fn(&mut World), expected: &Expect) -> World {
    let (desired, mut world) = applied(wish, shared);
    change(&mut world);
    expected.assert_eq(&world.told(&desired));
    world
}

fn installer(wish: Wish) -> Wish {
    Wish {
        installer: Some(InstallerWish {
            repository: "ghcr.io/x/installer".to_owned(),
            ..InstallerWish::default()
        }),
        ..wish
    }
}

fn volume(desired: &Desired) -> String {
    format!("iso/{}", desired.file_name)
}

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
fn what_does_not_answer_is_not_gone() {
    let down = |world: &mut World| {
        world.down.insert("pve02".to_owned());
    };
    check(
        &wish(),
        &[],
        down,
        &expect![[r#"
            unseen: storage resources on pve02 does not answer: connection refused
            status: storage resources on pve02 does not answer: connection refused"#]],
    );
    // Others see the same files.
    check(&wish(), &["resources"], down, &expect!["status: ready"]);
    check(
        &wish(),
        &[],
        |world| world.factory_is_down = true,
        &expect![[r#"
            unseen: the factory https://factory.talos.dev does not answer: connection refused
            status: ready"#]],
    );
    let registry = |world: &mut World| world.registry_is_down = true;
    check(
        &imager_wish(),
        &[],
        registry,
        &expect![[r#"
        unseen: the registry of ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b does not answer: connection refused
        unseen: the registry of ghcr.io/sulibot/talos-frr-installer:v1.11.5-4cd0adb5 does not answer: connection refused
        status: ready"#]],
    );
}

#[test]
fn what_does_not_answer_and_is_needed_is_waited_for() {
    let desired = read(&wish());
    let mut world = World::new(&[]);
    world.down.insert("pve02".to_owned());
    world.run(&desired);
    expect![[r#"
        waits: storage resources on pve02 does not answer: connection refused
        status: storage resources on pve02 does not answer: connection refused"#]]
    .assert_eq(&world.told(&desired));
    world.down.clear();
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02"#]].assert_eq(&world.run(&desired));
    let mut dark = World::new(&[]);
    dark.factory_is_down = true;
    expect![[r#"
        waits: the factory https://factory.talos.dev does not answer: connection refused
        status: the factory https://factory.talos.dev does not answer: connection refused"#]]
    .assert_eq(&dark.told(&desired));
}

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
fn new_content_comes_before_the_old_goes() {
    let (_, mut world) = applied(&wish(), &["resources"]);
    let newer = read(&Wish {
        talos_version: "v1.11.6".to_owned(),
        ..wish()
    });
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.6/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.6-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.6
        remove resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01 (shared)"#]].assert_eq(&world.run(&newer));
    assert_eq!(world.files.len(), 1);
    assert_eq!(world.told(&newer), "status: ready");
}

#[test]
fn former_files_stay_if_that_is_wanted_or_something_is_missing() {
    let (_, world) = applied(&wish(), &[]);
    let newer = Wish {
        talos_version: "v1.11.6".to_owned(),
        ..wish()
    };
    let mut keeping = world.clone();
    keeping.run(&read(&Wish {
        keep_previous: true,
        ..newer.clone()
    }));
    assert_eq!(keeping.files.len(), 6);
    // What is wanted nowhere any more is not kept for anybody.
    keeping.run(&read(&Wish {
        keep_previous: true,
        proxmox: vec![proxmox("resources", &["pve01", "pve02"])],
        ..newer.clone()
    }));
    assert_eq!(keeping.files.len(), 4);
    // Said later, the former ones go.
    keeping.run(&read(&newer));
    assert_eq!(keeping.files.len(), 3);
    let mut partly = world;
    partly.down.insert("pve02".to_owned());
    partly.run(&read(&newer));
    assert_eq!(partly.files.len(), 5, "two new ones, and all old ones");
    partly.down.clear();
    partly.run(&read(&newer));
    assert_eq!(partly.files.len(), 3);
}

#[test]
fn a_node_that_is_gone_for_good_can_be_taken_out() {
    let (_, mut world) = applied(&wish(), &[]);
    world.down.insert("pve03".to_owned());
    let fewer = read(&Wish {
        proxmox: vec![proxmox("resources", &["pve01", "pve02"])],
        ..wish()
    });
    let mut observed = world.observe(&fewer);
    assert_eq!(status(&fewer, &observed), "ready");
    assert_eq!(
        forget_unreachable(&read(&wish()), &mut observed),
        [] as [&str; 0],
        "it is wanted"
    );
    assert_eq!(
        forget_unreachable(&fewer, &mut observed),
        ["resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03"]
    );
    assert_eq!(observed.recorded.files.len(), 2);
}

#[test]
fn the_same_name_with_other_content_needs_a_word() {
    let named = |version: &str, overwrite| Wish {
        talos_version: version.to_owned(),
        file_name: Some("talos.iso".to_owned()),
        overwrite,
        ..wish()
    };
    let (_, mut world) = applied(&named("v1.11.5", false), &[]);
    let before = world.files.clone();
    let refused = read(&named("v1.11.6", false));
    expect![[r#"
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.6
        refused at file_name: Another image has this name
        status: pve01 has resources:iso/talos.iso with other content, and machines may boot from it. Leave file_name out (the default carries the beginning of the id), give another name, or set overwrite = true."#]].assert_eq(&world.told(&refused));
    // The facts of the last reading are enough to say so.
    let old = read(&named("v1.11.5", false));
    let stored = world.observe(&old);
    expect![[r#"
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.6
        refused at file_name: Another image has this name
        status: pve01 has resources:iso/talos.iso with other content, and machines may boot from it. Leave file_name out (the default carries the beginning of the id), give another name, or set overwrite = true."#]].assert_eq(&told(&refused, &stored));
    world.run(&refused);
    assert_eq!(world.files, before);
    let overwriting = read(&named("v1.11.6", true));
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.6/nocloud-amd64.iso
        upload resources:iso/talos.iso on pve01, in place of another
        upload resources:iso/talos.iso on pve02, in place of another
        upload resources:iso/talos.iso on pve03, in place of another"#]].assert_eq(&world.run(&overwriting));
    assert_eq!(world.told(&overwriting), "status: ready");
    assert_ne!(world.files, before);
}

/// A world with a file of our name that we did not write.
fn occupied(desired: &Desired, content: &Bytes) -> World {
    let mut world = World::new(&["resources"]);
    let file = File {
        size: content.size_bytes,
        sha256: content.sha256.clone(),
    };
    let key = world.key("resources", "pve01", &volume(desired));
    world.files.insert(key, file);
    world
}

#[test]
fn a_file_that_was_there_is_taken_over_by_its_size_and_never_removed() {
    let desired = read(&wish());
    let image = bytes(&desired.image_url().expect("a factory"));
    let mut world = occupied(&desired, &image);
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        take over resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared), if it has the size of the image
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5
        warned at file_name: A file of this name is there
        status: not done yet: fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso"#]].assert_eq(&world.told(&desired));
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        take over resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared), if it has the size of the image
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    assert_eq!(plan_removal(&world.observe(&desired)), []);
    // It was not ours, so what becomes of it is not ours either.
    for file in world.files.values_mut() {
        file.size = 12;
    }
    expect![[r#"
        drift: resources (shared): resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso has 12 bytes instead of 4295927866903
        refused at file_name: Another image has this name
        status: resources (shared): resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso has 12 bytes instead of 4295927866903"#]].assert_eq(&world.told(&desired));
}

#[test]
fn a_file_of_another_size_is_refused_or_replaced() {
    let desired = read(&wish());
    let other = Bytes {
        sha256: String::new(),
        size_bytes: 3,
    };
    let mut world = occupied(&desired, &other);
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&world.run(&desired));
    expect![[r#"
        refused at file_name: Another image has this name
        status: pve01 has resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso with other content, and machines may boot from it. Leave file_name out (the default carries the beginning of the id), give another name, or set overwrite = true."#]].assert_eq(&world.told(&desired));
    let overwriting = read(&Wish {
        overwrite: true,
        ..wish()
    });
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared), in place of another"#]].assert_eq(&world.run(&overwriting));
    assert_eq!(world.told(&overwriting), "status: ready");
}

#[test]
fn a_node_that_downloads_compares_checksums() {
    let mut downloading = wish();
    downloading.proxmox[0].transfer = Some("download".to_owned());
    let desired = read(&downloading);
    let image = bytes(&desired.image_url().expect("a factory"));
    let mut world = occupied(&desired, &image);
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        compute the checksum of the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        let the node download resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    assert_eq!(plan_removal(&world.observe(&desired)), []);
    world.files.clear();
    expect!["let the node download resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)"].assert_eq(&world.run(&desired));
    assert_eq!(plan_removal(&world.observe(&desired)).len(), 1);
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
fn a_tag_that_moved_leads_back() {
    let (desired, mut world) = applied(&installer(wish()), &["resources"]);
    let digest = world.recorded.installer_digest(&desired);
    for tag in world.tags.values_mut() {
        tag.digest = "sha256:other".to_owned();
    }
    expect![[r#"
        drift: tag ghcr.io/x/installer:v1.11.5-ce4c9805 leads to another image (sha256:other instead of sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224)
        let ghcr.io/x/installer:v1.11.5-ce4c9805 lead to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224 again
        status: tag ghcr.io/x/installer:v1.11.5-ce4c9805 leads to another image (sha256:other instead of sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224)"#]].assert_eq(&world.told(&desired));
    expect!["let ghcr.io/x/installer:v1.11.5-ce4c9805 lead to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224 again"].assert_eq(&world.run(&desired));
    assert_eq!(world.recorded.installer_digest(&desired), digest);
    world.tags.clear();
    expect![[r#"
        drift: tag ghcr.io/x/installer:v1.11.5-ce4c9805 is gone
        let ghcr.io/x/installer:v1.11.5-ce4c9805 lead to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224 again
        status: tag ghcr.io/x/installer:v1.11.5-ce4c9805 is gone"#]].assert_eq(&world.told(&desired));
    world.run(&desired);
    // Its manifest is gone too.
    world.tags.clear();
    world.manifests.clear();
    expect!["copy the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5 to ghcr.io/x/installer:v1.11.5-ce4c9805"].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
}

#[test]
fn a_tag_of_another_image_needs_a_word() {
    let mut wished = installer(imager_wish());
    let mut world = World::new(&[]);
    let place = read(&wished).installer.expect("an installer").place;
    let other = TagSeen {
        digest: "sha256:other".to_owned(),
        ..TagSeen::default()
    };
    world.tags.insert(place.to_string(), other);
    expect![[r#"
        build the ISO for nocloud
        put the image in ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01
        refused at installer.tag: A tag leads to another image
        status: ghcr.io/x/installer:v1.11.5-4cd0adb5 leads to sha256:other, which is another installer. Nodes that install from the tag would get another one than before. Take another tag (the default carries the beginning of the id), or set overwrite_tag = true."#]].assert_eq(&world.told(&read(&wished)));
    let installer = wished.installer.as_mut().expect("an installer");
    installer.overwrite_tag = true;
    expect![[r#"
        build the ISO for nocloud
        build the installer for nocloud
        put the image in ghcr.io/sulibot/talos-images:v1.11.5-nocloud-amd64-iso-4cd0adb524c9e64d5546c1b587e3714b
        upload local:iso/talos-v1.11.5-nocloud-amd64-4cd0adb5.iso on pve01
        push the installer to ghcr.io/x/installer:v1.11.5-4cd0adb5, in place of another"#]].assert_eq(&world.run(&read(&wished)));
    // The same tag for new content.
    let tagged = |version: &str, overwrite_tag| Wish {
        talos_version: version.to_owned(),
        installer: Some(InstallerWish {
            repository: "ghcr.io/x/installer".to_owned(),
            tag: Some("latest".to_owned()),
            overwrite_tag,
            ..InstallerWish::default()
        }),
        ..wish()
    };
    let (_, world) = applied(&tagged("v1.11.5", false), &["resources"]);
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.6/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.6-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        refused at installer.tag: A tag leads to another image
        status: ghcr.io/x/installer:latest leads to sha256:7d40fe97f02cb18393aa9ec3a858c1959f11bc53362c27569ff2705f15e0f224, which is another installer. Nodes that install from the tag would get another one than before. Take another tag (the default carries the beginning of the id), or set overwrite_tag = true."#]].assert_eq(&world.told(&read(&tagged("v1.11.6", false))));
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.6/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.6-nocloud-amd64-ce4c9805.iso on pve01, pve02 and pve03 (shared)
        copy the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.6 to ghcr.io/x/installer:latest
        remove resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01 (shared)"#]].assert_eq(&world.clone().run(&read(&tagged("v1.11.6", true))));
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
fn a_local_file_that_is_missing_builds_nothing() {
    let wished = Wish {
        local_file: Some("/srv/talos.iso".to_owned()),
        ..imager_wish()
    };
    let (desired, mut world) = applied(&wished, &[]);
    world.local.clear();
    assert_eq!(world.told(&desired), "status: ready");
    let file = File {
        size: 3,
        sha256: String::new(),
    };
    world.local.insert("/srv/talos.iso".to_owned(), file);
    expect![[r#"
        drift: /srv/talos.iso has 3 bytes instead of 4295527715589
        fetch the image from ghcr.io/sulibot/talos-images@sha256:93bf7aa1932d61a8862141a4f34f9cbeac57a478add6b1f8b4c3e3be9759594b
        write the image to /srv/talos.iso
        status: /srv/talos.iso has 3 bytes instead of 4295527715589"#]]
    .assert_eq(&world.told(&desired));
    expect![[r#"
        fetch the image from ghcr.io/sulibot/talos-images@sha256:93bf7aa1932d61a8862141a4f34f9cbeac57a478add6b1f8b4c3e3be9759594b
        write the image to /srv/talos.iso"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.builds, 2);
    // Alone, it is all there is of the image.
    let alone = Wish {
        proxmox: Vec::new(),
        artifact_repository: None,
        ..wished
    };
    let (desired, mut world) = applied(&alone, &[]);
    world.local.clear();
    expect!["status: ready"].assert_eq(&world.told(&desired));
    let fetched = Wish {
        local_file: Some("/srv/talos.iso".to_owned()),
        proxmox: Vec::new(),
        ..wish()
    };
    let (desired, mut world) = applied(&fetched, &[]);
    world.local.clear();
    expect![[r#"
        drift: /srv/talos.iso is gone
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        write the image to /srv/talos.iso
        status: /srv/talos.iso is gone"#]]
    .assert_eq(&world.told(&desired));
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
fn a_local_file_of_somebody_else_stays() {
    let wished = |overwrite| Wish {
        local_file: Some("/srv/talos.iso".to_owned()),
        overwrite,
        ..wish()
    };
    let mut world = World::new(&["resources"]);
    let file = File {
        size: 3,
        sha256: String::new(),
    };
    world
        .local
        .insert("/srv/talos.iso".to_owned(), file.clone());
    let desired = read(&wished(false));
    world.run(&desired);
    expect![[r#"
        refused at local_file: Another file has this name
        status: /srv/talos.iso was not written by this resource, and is another file. Move it, take another path, or set overwrite = true."#]].assert_eq(&world.told(&desired));
    assert_eq!(world.local["/srv/talos.iso"], file);
    world.run(&read(&wished(true)));
    assert_eq!(world.told(&read(&wished(true))), "status: ready");
    // Moved elsewhere, the former one goes.
    let moved = read(&Wish {
        local_file: Some("/srv/other.iso".to_owned()),
        ..wish()
    });
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        write the image to /srv/other.iso
        remove /srv/talos.iso"#]].assert_eq(&world.run(&moved));
    assert_eq!(world.told(&moved), "status: ready");
}

#[test]
fn a_directory_is_no_place_for_the_file() {
    let desired = read(&Wish {
        local_file: Some("/etc".to_owned()),
        ..wish()
    });
    let mut observed = World::new(&["resources"]).observe(&desired);
    let seen = LocalSeen {
        is_directory: true,
        ..LocalSeen::default()
    };
    observed
        .local
        .insert("/etc".to_owned(), Fact::Known(Some(seen)));
    let refusals = plan(&desired, &observed).refusals;
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].place, ["local_file"]);
}

#[test]
fn a_removal_takes_what_we_wrote() {
    let (desired, mut world) = applied(&installer(wish()), &["resources"]);
    let observed = world.observe(&desired);
    let steps = plan_removal(&observed);
    let sentences: Vec<String> = steps.iter().map(ToString::to_string).collect();
    expect!["remove resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01 (shared)"]
        .assert_eq(&sentences.join("\n"));
    for step in &steps {
        world.apply(&desired, step);
    }
    assert_eq!(plan_removal(&world.observe(&desired)), []);
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
fn what_the_cluster_does_not_have_is_refused_and_not_waited_for() {
    let desired = read(&wish());
    let mut world = World::new(&["resources"]);
    world.absent.insert("resources".to_owned());
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5
        refused at proxmox.0.storage: There is no such storage
        status: The cluster has no storage resources. See pvesm status for those that there are. If the same apply makes it, take its name from the resource that makes it: then it is looked for when it is there."#]].assert_eq(&world.told(&desired));
    world.absent = ["pve03".to_owned()].into();
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5
        refused at proxmox.0.nodes: There is no such node
        status: The cluster has no node pve03. See pvecm nodes for those that there are."#]].assert_eq(&world.told(&desired));
}

#[test]
fn a_file_of_a_killed_run_is_ours() {
    for shared in [&["resources"][..], &[]] {
        let (desired, mut world) = applied(&wish(), shared);
        let begun = world.files.keys().map(|(storage, node, volume)| Begun {
            storage: storage.clone(),
            node: node.clone(),
            volume: volume.clone(),
        });
        world.begun = begun.collect();
        world.recorded = Recorded::default();
        // Cut off in the middle on the last node.
        let last = world.files.values_mut().next_back();
        last.expect("a file").size = 5;
        world.run(&desired);
        assert_eq!(world.told(&desired), "status: ready");
        let files = &world.recorded.files;
        assert!(!files.is_empty() && files.iter().all(|file| file.is_ours));
    }
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

#[test]
fn a_content_that_is_still_there_keeps_its_checksum() {
    let (first, mut world) = applied(&wish(), &["resources"]);
    let bytes = world.observe(&first).bytes(&first);
    let second = read(&Wish {
        kernel_args: vec!["quiet".to_owned()],
        keep_previous: true,
        ..wish()
    });
    world.run(&second);
    assert!(bytes.is_some());
    assert_eq!(world.observe(&first).bytes(&first), bytes);
}

#[test]
fn a_node_that_does_not_have_a_shared_storage_is_named() {
    let desired = read(&wish());
    let mut world = World::new(&["resources"]);
    world.run(&desired);
    let mut observed = world.observe(&desired);
    let nodes = observed.storages.get_mut("resources").expect("looked at");
    let seen = StorageSeen {
        absent: Some(Absent::Here),
        ..StorageSeen::default()
    };
    nodes.insert("pve03".to_owned(), Fact::Known(seen));
    let refusals = plan(&desired, &observed).refusals;
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].place, ["proxmox", "0", "nodes"]);
    assert!(refusals[0].detail.contains("pve03"), "{refusals:?}");
}

#[test]
fn a_node_that_never_saw_a_shared_storage_is_not_served() {
    let desired = read(&wish());
    let mut world = World::new(&["resources"]);
    world.down.insert("pve03".to_owned());
    world.run(&desired);
    let told = world.told(&desired);
    let silent = "status: storage resources on pve03 does not answer: connection refused";
    assert!(told.contains(silent), "{told}");
    // Once it has seen the file, it may be silent.
    world.down.clear();
    world.run(&desired);
    world.down.insert("pve03".to_owned());
    assert_eq!(world.told(&desired), "status: ready");
}

#[test]
fn what_somebody_put_in_the_place_of_ours_is_left() {
    let (desired, mut world) = applied(&wish(), &["resources"]);
    world.files.values_mut().for_each(|file| file.size = 3);
    let observed = world.observe(&desired);
    assert_eq!(plan_removal(&observed), []);
    assert_eq!(left_by_removal(&observed).len(), 1);
    let other = read(&Wish {
        kernel_args: vec!["quiet".to_owned()],
        ..wish()
    });
    let told = world.told(&other);
    assert!(!told.contains("remove resources"), "{told}");
    assert!(told.contains("warned at proxmox: A file is left"), "{told}");
    world.run(&other);
    assert_eq!(world.told(&other), "status: ready", "it is forgotten");
    assert_eq!(world.files.len(), 2);
}

#[test]
fn a_local_file_that_was_there_is_never_removed() {
    let local = |path: &str| {
        read(&Wish {
            local_file: Some(path.to_owned()),
            proxmox: Vec::new(),
            ..wish()
        })
    };
    let here = local("/srv/a.iso");
    let mut world = World::new(&[]);
    world.run(&here);
    let ours = plan_removal(&world.observe(&here));
    assert_eq!(ours.len(), 1);
    // Another object, for which the same file is there.
    world.recorded = Recorded::default();
    let log = world.run(&here);
    assert!(log.contains("take over /srv/a.iso"), "{log}");
    assert!(!log.contains("write the image"), "{log}");
    assert_eq!(plan_removal(&world.observe(&here)), []);
    world.run(&local("/srv/b.iso"));
    assert!(world.local.contains_key("/srv/a.iso"));
    assert_eq!(world.recorded.local.len(), 1);
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
