//! Files belong to the cluster that they were put on, and stay ours while their storage is switched off.

use proxmox_server::{Server, Spec};
use tests::Outcome;

use crate::scene::{OWN, RESOURCE, SHARED, Scene, on_own, on_shared};

/// Lets the provider work with another cluster from now on; gives the former one.
fn turn_to(scene: &mut Scene, other: Server) -> Result<Server, Box<dyn std::error::Error>> {
    scene.desk.write("ca.pem", other.ca_pem())?;
    let former = std::mem::replace(&mut scene.proxmox, other);
    scene.artifact(&on_shared())?;
    Ok(former)
}

#[test]
fn another_cluster_with_the_same_names_is_not_touched() -> Outcome {
    let mut scene = Scene::made(&on_shared())?;
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().ok_or("a name")?.to_owned();
    let image = std::fs::read(scene.proxmox.path("pve01", SHARED, "iso", &name))?;
    // Other people have the same image there, by the same name.
    let other = Server::start(Spec::default()).map_err(|error| error.to_string())?;
    other.put("pve01", SHARED, "iso", &name, &image)?;
    let first = turn_to(&mut scene, other)?;
    let says = "Another Proxmox cluster answers";
    let plan = scene.desk.plan()?;
    plan.expect_says_at(says, "storage = \"resources\"");
    let unlooked = ["destroy", "-auto-approve", "-refresh=false", "-no-color"];
    for run in [
        plan,
        scene.desk.apply()?,
        scene.desk.destroy()?,
        scene.desk.run(&unlooked)?,
    ] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says(says);
    }
    assert_eq!(scene.proxmox.files().len(), 1);
    let other = turn_to(&mut scene, first)?;
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    assert_eq!(other.files().len(), 1);
    Ok(())
}

#[test]
fn files_on_a_storage_that_is_switched_off_are_not_forgotten() -> Outcome {
    let scene = Scene::made(&on_own())?;
    scene
        .proxmox
        .change_storage(OWN, |storage| storage.is_disabled = true);
    let plan = scene.desk.plan()?;
    assert_ne!(plan.code, 1, "{plan}");
    plan.expect_says("storage local on pve01, pve02 and pve03 was not seen");
    plan.expect_says("The storage is disabled, or limited to other nodes");
    let destroy = scene.desk.destroy()?;
    assert_eq!(destroy.code, 1, "{destroy}");
    destroy.expect_says("cannot be removed now");
    destroy.expect_says("set forget_unreachable = true");
    // The same with the block taken out.
    scene.write("")?;
    let apply = scene.desk.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says("cannot be removed now");
    assert_eq!(scene.proxmox.files().len(), 3);
    scene
        .proxmox
        .change_storage(OWN, |storage| storage.is_disabled = false);
    scene.artifact(&on_own())?;
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn drift_beside_what_is_known_after_the_apply_only_is_mended() -> Outcome {
    let scene = Scene::new()?;
    let write = |turn: u32| {
        scene.write(&format!(
            "resource \"terraform_data\" \"version\" {{\n  input = \"v1.11.5\"\n  triggers_replace = {turn}\n}}\n\
             {RESOURCE}\n  provider = etcd\n  talos_version = terraform_data.version.output\n{}}}\n",
            on_own()
        ))
    };
    write(1)?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().ok_or("a name")?.to_owned();
    std::fs::remove_file(scene.proxmox.path("pve02", OWN, "iso", &name))?;
    write(2)?;
    scene.desk.apply()?.expect_ok();
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.files().len(), 3);
    Ok(())
}
