//! What former applies wrote: kept, removed, or left.

use expect_test::expect;

use super::{applied, installer};
use crate::talos_artifact::{
    Wish,
    fixture::{proxmox, read, wish},
    left_by_removal, plan_removal,
};

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
