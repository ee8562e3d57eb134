//! The file on this machine.

use expect_test::expect;

use super::applied;
use crate::{
    facts::Fact,
    talos_artifact::{
        LocalSeen, Recorded, Wish,
        fixture::{File, World, imager_wish, read, wish},
        plan, plan_removal,
    },
};

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
