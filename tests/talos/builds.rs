//! A factory that builds the same schematic anew, with other bytes: one resource has one SHA-256.

use std::{collections::BTreeSet, path::PathBuf};

use tests::{Outcome, Run};

use crate::scene::{OWN, SHARED, Scene, on_own, on_shared};

const COPY: &str = "talos_artifact_copy.copy";

/// An artifact on a storage of each node, and a copy of it on the shared one.
fn both(scene: &Scene, lines: &str) -> Outcome {
    scene.write(&format!(
        "resource \"talos_artifact\" \"image\" {{\n  provider      = etcd\n  talos_version = \
         \"v1.11.5\"\n{lines}}}\nresource \"talos_artifact_copy\" \"copy\" {{\n  provider = etcd\n  source \
         = talos_artifact.image.image\n{}}}\n",
        on_shared()
    ))
}

/// Where the image lies.
fn places(scene: &Scene) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let name = name(scene)?;
    let own = ["pve01", "pve02", "pve03"].map(|node| (node, OWN));
    let all = own.into_iter().chain([("pve01", SHARED)]);
    let paths = all.map(|(node, storage)| scene.proxmox.path(node, storage, "iso", &name));
    Ok(paths.filter(|path| path.exists()).collect())
}

/// What lies there, as SHA-256.
fn hashes(scene: &Scene) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let mut hashes = BTreeSet::new();
    for path in places(scene)? {
        hashes.insert(registry::Digest::of(&std::fs::read(path)?).hex());
    }
    Ok(hashes)
}

fn name(scene: &Scene) -> Result<String, Box<dyn std::error::Error>> {
    let name = scene.state("talos_image_file_name")?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

/// An apply that meets other bytes, and what is announced after it.
fn refused(scene: &Scene) -> Result<Run, Box<dyn std::error::Error>> {
    let before = scene.state("sha256")?;
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says("has other bytes by now");
    apply.expect_says("Run plan again");
    assert_eq!(scene.state("sha256")?, before);
    assert_eq!(hashes(scene)?.len(), 1, "nothing was written");
    scene.changes()
}

#[test]
fn other_bytes_are_refused_and_then_announced_for_all_places() -> Outcome {
    let scene = Scene::new()?;
    both(&scene, &on_own())?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 4);
    let name = name(&scene)?;
    scene.factory.front().rebuild();
    std::fs::remove_file(scene.proxmox.path("pve02", OWN, "iso", &name))?;
    // What is recorded is known, so nothing else changes.
    let plan = scene.changes()?;
    plan.expect_says("0 to add, 1 to change");
    assert!(!plan.text.contains("sha256"), "{plan}");
    let before = scene.state("sha256")?;
    let plan = refused(&scene)?;
    for node in ["pve01", "pve03"] {
        plan.expect_says(&format!("{node}: {OWN}:iso/{name} is another build"));
        let step = format!("upload {OWN}:iso/{name} on {node}, in place of another");
        plan.expect_says(&step);
    }
    plan.expect_says("0 to add, 2 to change");
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.files().len(), 4);
    let after = scene.state("sha256")?;
    assert_ne!(before, after);
    assert_eq!(scene.desk.state(COPY)?["sha256"], after);
    let hashes = hashes(&scene)?;
    assert_eq!(
        hashes.iter().map(String::as_str).collect::<Vec<_>>(),
        [after.as_str().unwrap_or_default()]
    );
    Ok(())
}

#[test]
fn a_node_that_fetches_other_bytes_is_no_dead_end() -> Outcome {
    let lines = on_own().replace("  }\n", "    transfer = \"download\"\n  }\n");
    let scene = Scene::made(&lines)?;
    let name = name(&scene)?;
    scene.factory.front().rebuild();
    std::fs::remove_file(scene.proxmox.path("pve02", OWN, "iso", &name))?;
    let plan = refused(&scene)?;
    plan.expect_says(&format!("pve01: {OWN}:iso/{name} is another build"));
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.files().len(), 3);
    assert_eq!(hashes(&scene)?.len(), 1);
    Ok(())
}

#[test]
fn a_registry_has_the_image_for_the_next_one_and_after_a_loss() -> Outcome {
    let scene = Scene::new()?;
    let host = scene.registry.host().to_owned();
    let lines = format!("  artifact_repository = \"{host}/images\"\n{}", on_own());
    scene.artifact(&lines)?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    let sha256 = scene.state("sha256")?;
    let front = scene.factory.front();
    front.rebuild();
    let fetched = || {
        let requests = front.requests().into_iter();
        requests
            .filter(|line| line.starts_with("GET /image/"))
            .count()
    };
    assert_eq!(fetched(), 1);
    std::fs::remove_file(scene.proxmox.path("pve02", OWN, "iso", &name(&scene)?))?;
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    // Another machine, another state.
    let places = places(&scene)?;
    scene
        .desk
        .run(&["state", "rm", "talos_artifact.image"])?
        .expect_ok();
    assert_eq!(places.len(), 3);
    for path in places {
        std::fs::remove_file(path)?;
    }
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.state("sha256")?, sha256);
    assert_eq!(hashes(&scene)?.len(), 1);
    assert_eq!(fetched(), 1, "the factory was asked once");
    Ok(())
}

#[test]
fn what_was_done_is_the_record_of_a_change() -> Outcome {
    let scene = Scene::made(&on_shared())?;
    scene
        .desk
        .run(&["state", "rm", "talos_artifact.image"])?
        .expect_ok();
    let apply = scene.desk.apply()?;
    apply.expect_says("upload resources:iso/");
    scene.desk.expect_no_change()?;
    scene.desk.apply()?.expect_ok();
    let done = scene.state("change_plan")?.to_string();
    assert!(done.contains(&format!("take over {SHARED}:iso/")), "{done}");
    assert!(!done.contains("upload"), "{done}");
    // The same change again is shown again.
    let path = scene.proxmox.path("pve01", SHARED, "iso", &name(&scene)?);
    for _ in 0..2 {
        std::fs::remove_file(&path)?;
        scene.changes()?.expect_says("upload resources:iso/");
        scene.desk.apply()?.expect_ok();
    }
    Ok(())
}
