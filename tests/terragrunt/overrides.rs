//! Shared artifacts unless a cluster says otherwise, and nothing in between.

use std::fs;

use tests::{Outcome, Run};

use crate::tree::{SHARED_INSTALLER, SHARED_ISO, Tree};

const STAGING: &str = "clusters/cluster-102";
const OWN_ISO: &str = "resources:iso/talos-frr-v1.12.0-nocloud-amd64.iso";
const OWN_INSTALLER: &str = "ghcr.io/sulibot/talos-frr-installer:v1.12.0-frr-1.0.19";

/// A tree with shared artifacts, in which staging says this.
fn overridden(overrides: &str) -> Result<Tree, Box<dyn std::error::Error>> {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    tree.edit(
        &format!("{STAGING}/cluster.hcl"),
        "artifact_overrides = {}",
        overrides,
    )?;
    Ok(tree)
}

fn complete() -> String {
    format!(
        "artifact_overrides = {{\n installer_image = \"{OWN_INSTALLER}\"\n iso_file_id = \"{OWN_ISO}\"\n \
         talos_version = \"v1.12.0\"\n kubernetes_version = \"v1.32.0\"\n}}"
    )
}

fn dependencies(tree: &Tree, unit: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let found = tree.json("", &["find", "--json", "--dependencies"])?;
    let path = format!("{STAGING}/{unit}");
    let unit = found
        .as_array()
        .into_iter()
        .flatten()
        .find(|found| found["path"] == path.as_str())
        .ok_or("the unit is there")?;
    let mut names: Vec<_> = unit["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(ToOwned::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

fn plan(tree: &Tree, unit: &str) -> Result<Run, Box<dyn std::error::Error>> {
    tree.terragrunt(&format!("{STAGING}/{unit}"), &["plan", "-no-color"])
}

#[test]
fn a_complete_one_needs_no_shared_artifact() -> Outcome {
    let tree = overridden(&complete())?;
    // Not even their directories.
    fs::remove_dir_all(tree.live("artifacts"))?;
    fs::remove_dir_all(tree.live(".state"))?;
    assert_eq!(dependencies(&tree, "compute")?, Vec::<String>::new());
    assert_eq!(
        dependencies(&tree, "config")?,
        [format!("{STAGING}/compute")]
    );
    let compute = plan(&tree, "compute")?;
    compute.expect_ok();
    compute.expect_says(&format!("file_id = \"{OWN_ISO}\""));
    compute.expect_says("talos_version = \"v1.12.0\"");
    compute.expect_says("kubernetes_version = \"1.32.0\"");
    let config = plan(&tree, "config")?;
    config.expect_ok();
    config.expect_says(&format!("installer_image = \"{OWN_INSTALLER}\""));
    for run in [compute, config] {
        assert!(
            !run.text.contains("mock-") && !run.text.contains("v1.11.5"),
            "{run}"
        );
    }
    Ok(())
}

#[test]
fn the_others_stay_where_they_are() -> Outcome {
    let tree = overridden(&complete())?;
    let plan = tree.all("clusters/cluster-101", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says(&format!("file_id = \"{SHARED_ISO}\""));
    plan.expect_says(&format!("installer_image = \"{SHARED_INSTALLER}\""));
    assert!(!plan.text.contains("v1.12.0"), "{plan}");
    Ok(())
}

#[test]
fn absent_empty_and_null_are_the_shared_artifacts() -> Outcome {
    let file = format!("{STAGING}/cluster.hcl");
    let mut written = "artifact_overrides = {}";
    let tree = overridden(written)?;
    for overrides in [
        written,
        "artifact_overrides = null",
        "artifact_overrides = { iso_file_id = null, installer_image = null, talos_version = null }",
        "",
    ] {
        tree.edit(&file, written, overrides)?;
        written = overrides;
        let run = tree.all(STAGING, &["plan", "-no-color"])?;
        assert!(run.is_ok(), "{overrides}: {run}");
        run.expect_says(&format!("file_id = \"{SHARED_ISO}\""));
        run.expect_says(&format!("installer_image = \"{SHARED_INSTALLER}\""));
        run.expect_says("talos_version = \"v1.11.5\"");
    }
    Ok(())
}

#[test]
fn an_old_installer_pins_a_cluster() -> Outcome {
    let tree = overridden(
        "artifact_overrides = { installer_image = \"example.test/installer:v1.10.8\", talos_version = \"v1.10.8\", kubernetes_version = \"1.31.4\" }",
    )?;
    assert_eq!(dependencies(&tree, "compute")?, ["artifacts/registry"]);
    assert_eq!(
        dependencies(&tree, "config")?,
        [
            "artifacts/registry".to_owned(),
            format!("{STAGING}/compute")
        ]
    );
    let run = tree.all(STAGING, &["plan", "-no-color"])?;
    run.expect_ok();
    run.expect_says("installer_image = \"example.test/installer:v1.10.8\"");
    run.expect_says(&format!("file_id = \"{SHARED_ISO}\""));
    Ok(())
}

#[test]
fn an_iso_that_was_uploaded_by_hand_will_do() -> Outcome {
    let tree = overridden(
        "artifact_overrides = { iso_file_id = \"resources:iso/by-hand.iso\", talos_version = \"v1.11.5\", kubernetes_version = \"1.31.4\" }",
    )?;
    assert_eq!(dependencies(&tree, "compute")?, Vec::<String>::new());
    assert_eq!(
        dependencies(&tree, "config")?,
        ["artifacts/images".to_owned(), format!("{STAGING}/compute")]
    );
    let run = tree.all(STAGING, &["plan", "-no-color"])?;
    run.expect_ok();
    run.expect_says("file_id = \"resources:iso/by-hand.iso\"");
    run.expect_says(&format!("installer_image = \"{SHARED_INSTALLER}\""));
    Ok(())
}

#[test]
fn what_was_built_counts_and_not_what_is_wanted_by_now() -> Outcome {
    let tree = overridden("artifact_overrides = { talos_version = \"v1.11.5\" }")?;
    tree.edit(
        "common/versions.hcl",
        "talos_version      = \"v1.11.5\"",
        "talos_version      = \"v1.12.0\"",
    )?;
    tree.all(STAGING, &["plan", "-no-color"])?.expect_ok();
    tree.edit(
        &format!("{STAGING}/cluster.hcl"),
        "talos_version = \"v1.11.5\"",
        "talos_version = \"v1.12.0\"",
    )?;
    let run = plan(&tree, "config")?;
    assert_ne!(run.code, 0, "{run}");
    run.expect_says("so the shared installer would install v1.11.5");
    Ok(())
}

#[test]
fn half_an_override_is_refused_with_a_sentence() -> Outcome {
    let file = format!("{STAGING}/cluster.hcl");
    let mut written = "artifact_overrides = {}".to_owned();
    let tree = overridden(&written)?;
    for (overrides, sentence) in [
        (
            "{ iso_file_id = \"resources:iso/x.iso\" }",
            "names an image of its own without its versions",
        ),
        (
            "{ installer_image = \"example.test/x:y\" }",
            "names an image of its own without its versions",
        ),
        (
            "{ talos_version = \"v1.12.0\" }",
            "so the shared installer would install v1.11.5",
        ),
        (
            "{ iso_id = \"resources:iso/x.iso\" }",
            "has unknown keys: iso_id",
        ),
    ] {
        let half = format!("artifact_overrides = {overrides}");
        tree.edit(&file, &written, &half)?;
        written = half;
        for unit in ["compute", "config"] {
            let run = plan(&tree, unit)?;
            assert_ne!(run.code, 0, "{unit}, {overrides}: {run}");
            run.expect_says(sentence);
        }
    }
    let apply = tree.terragrunt(
        &format!("{STAGING}/config"),
        &["apply", "-auto-approve", "-no-color"],
    )?;
    assert_ne!(apply.code, 0, "{apply}");
    assert!(!tree.state(&format!("{STAGING}/config")).exists());
    Ok(())
}
