//! Files of our name that are not ours.

use expect_test::expect;

use super::applied;
use crate::talos_artifact::{
    Begun, Bytes, Desired, Recorded, Wish,
    fixture::{File, World, bytes, read, told, wish},
    plan_removal,
};

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

fn volume(desired: &Desired) -> String {
    format!("iso/{}", desired.file_name)
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
