//! One resource has one SHA-256, whatever a factory builds.

use expect_test::expect;

use super::applied;
use crate::{
    problem::Problems,
    talos_artifact::{
        Desired, Recorded, Source, Wish,
        fixture::{World, copy_wish, handle, proxmox, read, wish},
    },
};

fn registered() -> Wish {
    Wish {
        artifact_repository: Some("ghcr.io/x/images".to_owned()),
        ..wish()
    }
}

#[test]
fn other_bytes_go_nowhere_until_a_plan_says_everywhere() {
    let (desired, mut world) = applied(&wish(), &[]);
    world.rebuilds += 1;
    assert_eq!(world.told(&desired), "status: ready");
    world.files.retain(|(_, node, _), _| node != "pve02");
    let before = world.files.clone();
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        other bytes"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.files, before);
    expect![[r#"
        drift: pve01: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)
        drift: pve02: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is gone
        drift: pve03: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, in place of another
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03, in place of another
        status: pve01: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)"#]].assert_eq(&world.told(&desired));
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, in place of another
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03, in place of another"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
    assert_eq!(world.files.len(), 3);
}

#[test]
fn bytes_that_come_back_change_nothing() {
    let (desired, mut world) = applied(&wish(), &[]);
    world.rebuilds += 1;
    world.files.retain(|(_, node, _), _| node != "pve02");
    world.run(&desired);
    world.rebuilds = 0;
    assert!(world.run(&desired).ends_with("other bytes"));
    expect![[r#"
        fetch the image from https://factory.talos.dev/image/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515/v1.11.5/nocloud-amd64.iso
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02"#]].assert_eq(&world.run(&desired));
    assert_eq!(world.told(&desired), "status: ready");
}

#[test]
fn what_a_registry_has_is_taken_before_the_factory_is_asked() {
    let (desired, mut world) = applied(&registered(), &[]);
    world.rebuilds += 1;
    world.files.retain(|(_, node, _), _| node != "pve02");
    expect![[r#"
        fetch the image from ghcr.io/x/images@sha256:0f5ab12329af6535f580c28d037c14df51d5cc6eae671aad5b20d23519e71653
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02"#]].assert_eq(&world.run(&desired));
    // Another machine, another state.
    let mut other = world.clone();
    other.recorded = Recorded::default();
    other.files.clear();
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        fetch the image from ghcr.io/x/images@sha256:0f5ab12329af6535f580c28d037c14df51d5cc6eae671aad5b20d23519e71653
        take over ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e, which leads to sha256:0f5ab12329af6535f580c28d037c14df51d5cc6eae671aad5b20d23519e71653
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5"#]].assert_eq(&other.run(&desired));
    assert_eq!(other.told(&desired), "status: ready");
    // Where the registry is silent, nobody knows which bytes it has.
    other.recorded = Recorded::default();
    other.registry_is_down = true;
    expect![[r#"
        give schematic ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515 to https://factory.talos.dev
        ask for the digest of the installer factory.talos.dev/nocloud-installer/ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515:v1.11.5
        waits: the registry of ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e does not answer, and the image may be there: connection refused
        waits: the registry of ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e does not answer: connection refused
        warned at file_name: A file of this name is there
        status: the registry of ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e does not answer, and the image may be there: connection refused"#]].assert_eq(&other.told(&desired));
}

#[test]
fn a_tag_of_another_build_is_not_taken_over() {
    let (desired, world) = applied(&registered(), &[]);
    let mut later = World::new(&[]);
    later.rebuilds += 1;
    later.run(&read(&wish()));
    later.tags = world.tags.clone();
    later.manifests = world.manifests.clone();
    expect![[r#"
        refused at artifact_repository: A tag leads to another build of the image
        status: ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e leads to sha256:0f5ab12329af6535f580c28d037c14df51d5cc6eae671aad5b20d23519e71653, the same image with other bytes: SHA-256 394a2f17ca18e283f539797d0f1dd797a11d396357775cac6fc94ace6a06160a, and this resource has 6cb93c5140e7840a8eda916a3e9f375cc14d527699c0a9802084f55fa1dfe016. To take that one everywhere, replace this resource (-replace=ADDRESS). To keep this one, remove the tag there, or take another repository."#]].assert_eq(&later.told(&desired));
    // Replaced, it has the bytes that all others have.
    later.recorded = Recorded::default();
    later.files.clear();
    later.run(&desired);
    assert_eq!(later.told(&desired), "status: ready");
}

#[test]
fn an_image_that_the_registry_lost_and_got_again_is_the_one_of_all() {
    let (desired, mut world) = applied(&registered(), &[]);
    let mut other = World::new(&[]);
    other.rebuilds += 1;
    other.run(&desired);
    world.tags = other.tags.clone();
    world.manifests = other.manifests.clone();
    expect![[r#"
        drift: pve01: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)
        drift: pve02: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)
        drift: pve03: resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)
        drift: tag ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e leads to another image (sha256:4ddd32420bab8bbad550c2daaec9f152aa66c7dd36a4e948f00417c72655d6c3 instead of sha256:0f5ab12329af6535f580c28d037c14df51d5cc6eae671aad5b20d23519e71653)
        fetch the image from ghcr.io/x/images@sha256:4ddd32420bab8bbad550c2daaec9f152aa66c7dd36a4e948f00417c72655d6c3
        take over ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e, which leads to sha256:4ddd32420bab8bbad550c2daaec9f152aa66c7dd36a4e948f00417c72655d6c3
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve01, in place of another
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve02, in place of another
        upload resources:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve03, in place of another
        status: tag ghcr.io/x/images:v1.11.5-nocloud-amd64-iso-ce4c980550dd2ab1b17bbf2b08801c7e leads to another image (sha256:4ddd32420bab8bbad550c2daaec9f152aa66c7dd36a4e948f00417c72655d6c3 instead of sha256:0f5ab12329af6535f580c28d037c14df51d5cc6eae671aad5b20d23519e71653)"#]].assert_eq(&world.told(&desired));
    world.run(&desired);
    assert_eq!(world.told(&desired), "status: ready");
}

#[test]
fn a_copy_has_the_bytes_of_its_source() {
    let (source, mut world) = applied(&wish(), &["resources"]);
    let read_copy = |world: &World| {
        let wished = copy_wish(handle(&source, world));
        Desired::read_copy(&wished, &mut Problems::default()).expect("a copy")
    };
    let first = read_copy(&world);
    let ours = std::mem::take(&mut world.recorded);
    world.run(&first);
    assert_eq!(world.told(&first), "status: ready");
    // Its source was replaced by another build.
    let recorded = std::mem::replace(&mut world.recorded, ours);
    world.rebuilds += 1;
    world
        .files
        .retain(|(storage, ..), _| storage != "resources");
    world.run(&source);
    world.run(&source);
    let second = read_copy(&world);
    world.recorded = recorded;
    expect![[r#"
        drift: pve04: local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)
        fetch the image from its source
        upload local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso on pve04, in place of another
        status: pve04: local:iso/talos-v1.11.5-nocloud-amd64-ce4c9805.iso is another build of the image (SHA-256 394a2f17ca18… instead of 6cb93c5140e7…)"#]].assert_eq(&world.told(&second));
    world.run(&second);
    assert_eq!(world.told(&second), "status: ready");
    // What its source does not have goes nowhere.
    world.rebuilds += 1;
    world.files.clear();
    assert!(world.run(&second).ends_with("other bytes"));
    assert!(world.files.is_empty());
    let Source::Copy(handle) = &second.source else {
        panic!("a copy")
    };
    let bytes = world.observe(&second).bytes(&second);
    assert_eq!(bytes.map(|bytes| bytes.sha256), handle.sha256);
}

#[test]
fn a_place_that_is_added_gets_the_bytes_of_the_others() {
    let (_, mut world) = applied(&wish(), &[]);
    world.rebuilds += 1;
    let mut more = wish();
    more.proxmox.push(proxmox("local", &["pve04"]));
    let more = read(&more);
    assert!(world.run(&more).ends_with("other bytes"));
    world.run(&more);
    assert_eq!(world.told(&more), "status: ready");
    let hashes: std::collections::BTreeSet<_> =
        world.files.values().map(|file| &file.sha256).collect();
    assert_eq!(hashes.len(), 1);
}
