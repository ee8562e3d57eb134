//! Several resources and one file.

use tests::Outcome;

use crate::scene::{SHARED, Scene, on_shared};

/// Artifacts of these names and lines on the shared storage.
fn artifacts(names: &[(&str, &str)]) -> String {
    let one = |(name, lines): &(&str, &str)| {
        format!(
            "resource \"talos_artifact\" \"{name}\" {{\n  provider      = etcd\n  talos_version = \
             \"v1.11.5\"\n{lines}{}}}\n",
            on_shared()
        )
    };
    names.iter().map(one).collect()
}

#[test]
fn a_replacement_made_first_keeps_the_file() -> Outcome {
    let lines = "  lifecycle {\n    create_before_destroy = true\n  }\n";
    let scene = Scene::made(&format!("{}{lines}", on_shared()))?;
    let replaced = scene
        .desk
        .run(&["apply", "-auto-approve", "-replace=talos_artifact.image"])?;
    replaced.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 1, "{replaced}");
    assert_eq!(scene.proxmox.count("DELETE", ""), 0);
    scene.desk.expect_no_change()?;
    Ok(())
}

#[test]
fn one_of_two_goes_and_the_file_stays_for_the_other() -> Outcome {
    let scene = Scene::new()?;
    scene.write(&artifacts(&[("image", ""), ("twin", "")]))?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.proxmox.count("POST", "/upload"), 1);
    scene.desk.expect_no_change()?;
    // Whichever of them wrote it.
    scene.write(&artifacts(&[("image", "")]))?;
    scene.desk.apply()?.expect_ok();
    assert_eq!(scene.proxmox.files().len(), 1);
    scene.desk.expect_no_change()?;
    scene.desk.destroy()?.expect_ok();
    assert!(scene.proxmox.files().is_empty());
    Ok(())
}

#[test]
fn two_that_want_one_name_with_other_content_are_refused_at_plan() -> Outcome {
    let scene = Scene::new()?;
    let name = "  file_name = \"same.iso\"\n";
    let other = format!("{name}  kernel_args = [\"quiet\"]\n");
    scene.write(&artifacts(&[("image", name), ("other", &other)]))?;
    scene.desk.init()?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Two resources want one file");
    plan.expect_says(&format!("{SHARED}:iso/same.iso"));
    let path = scene.desk.directory().join("x.iso");
    let local = format!("  local_file = \"{}\"\n", path.display());
    let other = format!("{local}  kernel_args = [\"quiet\"]\n");
    scene.write(&artifacts(&[("image", &local), ("other", &other)]))?;
    let plan = scene.desk.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("x.iso");
    Ok(())
}

#[test]
fn a_change_is_checked_where_it_leads_before_it_is_applied() -> Outcome {
    let scene = Scene::made(&on_shared())?;
    scene
        .proxmox
        .put("pve01", SHARED, "iso", "mine.iso", b"mine")?;
    for (lines, says) in [
        (
            format!("  file_name = \"mine.iso\"\n{}", on_shared()),
            "Another image has this name",
        ),
        (
            on_shared().replace(SHARED, "rbd-vm"),
            "The storage does not take such images",
        ),
        (on_shared().replace("pve03", "pve77"), "no node pve77"),
    ] {
        scene.artifact(&lines)?;
        let plan = scene.desk.plan()?;
        assert_eq!(plan.code, 1, "{plan}");
        plan.expect_says(says);
    }
    Ok(())
}

#[test]
fn a_file_that_was_exchanged_is_not_removed() -> Outcome {
    let scene = Scene::new()?;
    let path = scene.desk.directory().join("x.iso");
    let local = format!("  local_file = \"{}\"\n{}", path.display(), on_shared());
    scene.artifact(&local)?;
    scene.desk.init()?;
    scene.desk.apply()?.expect_ok();
    let name = scene.state("talos_image_file_name")?;
    let name = name.as_str().unwrap_or_default();
    let stored = scene.proxmox.path("pve01", SHARED, "iso", name);
    std::fs::write(&stored, "mine")?;
    std::fs::write(&path, "my thesis")?;
    let destroy = scene.desk.destroy()?;
    destroy.expect_ok();
    destroy.expect_says("A file is left because it was exchanged");
    assert_eq!(std::fs::read(&stored)?, b"mine");
    assert_eq!(std::fs::read(&path)?, b"my thesis");
    Ok(())
}
