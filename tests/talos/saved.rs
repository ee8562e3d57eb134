//! Plans that were made before, and facts that changed since.

use tests::Outcome;

use crate::scene::{OWN, SHARED, Scene, on_own, on_shared};

const PLAN: [&str; 3] = ["plan", "-no-color", "-out=saved"];
const APPLY: [&str; 3] = ["apply", "-no-color", "saved"];

#[test]
fn a_step_that_was_not_announced_is_not_taken() -> Outcome {
    let scene = Scene::made(&on_own())?;
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    scene.artifact(&on_own().replace(", \"pve03\"", ""))?;
    scene.desk.run(&PLAN)?.expect_ok();
    std::fs::remove_file(scene.proxmox.path("pve01", OWN, "iso", name))?;
    // The factory has built it anew meanwhile.
    scene.factory.front().set_image_size(2 << 20);
    let apply = scene.desk.run(&APPLY)?;
    assert_ne!(apply.code, 0, "{apply}");
    apply.expect_says("facts changed since the plan");
    apply.expect_says(&format!("\"upload {OWN}:iso/{name} on pve01\""));
    apply.expect_says("Run plan again");
    assert!(!apply.text.contains("bug in the provider"), "{apply}");
    assert_eq!(
        scene.proxmox.count("POST", "/upload"),
        3,
        "those of creation"
    );
    assert_eq!(
        scene.proxmox.count("DELETE", ""),
        0,
        "it stops before all steps"
    );
    scene.factory.front().set_image_size(1 << 20);
    scene.desk.apply()?.expect_ok();
    scene.desk.expect_no_change()?;
    assert_eq!(scene.proxmox.files().len(), 2);
    Ok(())
}

#[test]
fn a_plan_that_nothing_happened_to_is_applied() -> Outcome {
    let scene = Scene::made(&on_own())?;
    // To a storage that no plan of before looked at.
    scene.artifact(&on_shared())?;
    let plan = scene.desk.run(&PLAN)?;
    plan.expect_says(&format!("upload {SHARED}:iso/"));
    scene.desk.run(&APPLY)?.expect_ok();
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn a_node_that_is_gone_for_good_is_forgotten() -> Outcome {
    let scene = Scene::made(&on_own())?;
    scene.proxmox.stop_node("pve03");
    let fewer = on_own().replace(", \"pve03\"", "");
    scene.artifact(&format!("{fewer}  forget_unreachable = true\n"))?;
    let apply = scene.desk.apply()?;
    apply.expect_ok();
    apply.expect_says("was forgotten");
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    assert!(!plan.text.contains("was not seen"), "{plan}");
    scene.desk.destroy()?.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 1, "that of pve03");
    Ok(())
}
