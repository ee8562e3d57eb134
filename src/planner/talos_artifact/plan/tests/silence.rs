//! What does not answer, and what the cluster does not have.

use expect_test::expect;

use super::{applied, check};
use crate::{
    facts::Fact,
    talos_artifact::{
        Absent, Step, StorageSeen, Wish,
        fixture::{World, imager_wish, proxmox, read, wish},
        forget_unreachable, plan, status,
    },
};

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
fn what_the_login_may_not_do_is_refused_where_it_would_be_done() {
    let desired = read(&wish());
    let mut world = World::new(&["resources"]);
    let lacking = |world: &World| {
        let mut observed = world.observe(&desired);
        let nodes = desired.targets[0].nodes.iter();
        let lacking = "Datastore.AllocateTemplate on /storage/resources".to_owned();
        let nodes = nodes.map(|node| (node.clone(), lacking.clone()));
        observed.lacking = [("resources".to_owned(), nodes.collect())].into();
        observed
    };
    let found = plan(&desired, &lacking(&world));
    assert_eq!(found.refusals.len(), 1, "once for all nodes: {found:?}");
    assert_eq!(found.refusals[0].place, ["proxmox", "0", "storage"]);
    assert!(
        found.refusals[0]
            .detail
            .contains("Datastore.AllocateTemplate on")
    );
    assert_eq!(found.blocked_at(), Some(&found.refusals[0].place));
    // Nothing is made for it.
    let makes = |step: &Step| matches!(step, Step::FetchImage { .. } | Step::Upload { .. });
    assert!(!found.steps.iter().any(makes), "{:?}", found.steps);
    // A login that may not even look is not let wait.
    let mut hidden = lacking(&world);
    for fact in hidden
        .storages
        .values_mut()
        .flat_map(|nodes| nodes.values_mut())
    {
        *fact = Fact::Unknown("403".to_owned());
    }
    let found = plan(&desired, &hidden);
    assert_eq!(
        (found.refusals.len(), found.waits.len()),
        (1, 0),
        "{found:?}"
    );
    // What is in its place needs no privilege, and who had one and may not look any more has it still.
    world.run(&desired);
    assert_eq!(status(&desired, &lacking(&world)), "ready");
    let mut hidden = lacking(&world);
    for fact in hidden
        .storages
        .values_mut()
        .flat_map(|nodes| nodes.values_mut())
    {
        *fact = Fact::Unknown("403".to_owned());
    }
    assert_eq!(plan(&desired, &hidden).refusals, []);
}

#[test]
fn a_wait_names_the_attribute() {
    let desired = read(&wish());
    let mut world = World::new(&[]);
    world.factory_is_down = true;
    let at = |world: &World| {
        let found = plan(&desired, &world.observe(&desired));
        found.blocked_at().map(|place| place.join("."))
    };
    assert_eq!(at(&world).as_deref(), Some("factory_url"));
    world.factory_is_down = false;
    world.run(&desired);
    assert_eq!(at(&world), None);
    world.files.clear();
    world.recorded.files.clear();
    world.down.insert("pve02".to_owned());
    assert_eq!(at(&world).as_deref(), Some("proxmox.0.storage"));
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
