//! What goes wrong on the way: an error with words, nothing lost, and the next apply completes.

use proxmox_server::{Effect, Fault, TaskEnd};
use tests::Outcome;

use crate::scene::{OWN, Scene, on_own, on_shared};

#[test]
fn a_cut_upload_and_a_late_task_are_taken_up_by_the_next_apply() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_own())?;
    scene.desk.init()?;
    scene.proxmox.fault(
        Fault::once(
            "/nodes/pve02/storage/local/upload",
            Effect::CutAfter(100_000),
        )
        .times(1000),
    );
    let apply = scene.desk.apply()?;
    apply.expect_says("was cut after");
    apply.expect_says("pve02");
    // What is there is in the state: nothing is tainted, nothing forgotten.
    assert_ne!(scene.state("status")?, "ready");
    assert_eq!(scene.proxmox.files().len(), 2, "nothing half there");
    scene.proxmox.mend();
    scene
        .proxmox
        .end_task("imgcopy", TaskEnd::Early("disk quota exceeded".to_owned()));
    let apply = scene.desk.apply()?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says("disk quota exceeded");
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.state("status")?, "ready");
    scene.desk.expect_no_change()?;
    assert_eq!(scene.factory.front().builds().len(), 1, "built once");
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn what_does_not_answer_is_never_gone() -> Outcome {
    let scene = Scene::made(&on_own())?;
    scene.proxmox.take_offline(OWN, &["pve02"]);
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    plan.expect_says("storage local on pve02 was not seen");
    let destroy = scene.desk.destroy()?;
    assert_ne!(destroy.code, 0, "{destroy}");
    destroy.expect_says("forget_unreachable");
    assert_eq!(scene.proxmox.files().len(), 3, "all or nothing");
    scene.proxmox.bring_online(OWN);
    scene.desk.destroy()?.expect_ok();
    Ok(())
}

#[test]
fn a_factory_with_a_fault_of_its_own_is_asked_again() -> Outcome {
    let scene = Scene::new()?;
    scene.artifact(&on_shared())?;
    scene.desk.init()?;
    scene.factory.front().fail([
        registries::Fault::Status(500),
        registries::Fault::CutAfter(1000),
        registries::Fault::Status(503),
    ]);
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn an_expired_token_is_said() -> Outcome {
    let scene = Scene::made(&on_shared())?;
    scene.proxmox.expire_token("root@pam!lab");
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    plan.expect_says("expired");
    Ok(())
}
