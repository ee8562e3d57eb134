//! Everything can be seen before anything exists, and nothing that was seen so can be applied.

use std::fs;

use serde_json::{Value as Json, json};
use tests::{Outcome, Run};

use crate::tree::{SHARED_ISO, Tree};

/// What stands for the shared image until it is there.
const MOCK_ISO: &str = "resources:iso/mock-talos-image.iso";

/// Units that ended well, as the summary of `run --all` counts them.
#[track_caller]
fn expect_units(run: &Run, count: usize) {
    run.expect_ok();
    run.expect_says(&format!("Run Summary {count} units"));
    run.expect_says(&format!("Succeeded {count}"));
}

#[test]
fn clusters_plan_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    for command in ["init", "validate", "plan"] {
        expect_units(&tree.all("clusters", &[command, "-no-color"])?, 9);
    }
    let plan = tree.all("clusters/cluster-101", &["plan", "-no-color"])?;
    plan.expect_says("mock-talos-image.iso");
    plan.expect_says("terraform_data.mock");
    // Nothing is there, and nothing is in the way of taking it away.
    expect_units(
        &tree.all("clusters", &["destroy", "-auto-approve", "-no-color"])?,
        9,
    );
    Ok(())
}

#[test]
fn mocks_are_those_of_the_shared_artifacts() -> Outcome {
    let tree = Tree::new()?;
    let registry = json!({
        "talos_image_file_ids": {
            "pve01": MOCK_ISO, "pve02": MOCK_ISO, "pve03": MOCK_ISO,
        },
        "talos_image_file_name": "mock-talos-image.iso",
        "talos_image_id": "mock-schematic-id",
        "talos_version": "v1.11.5",
        "kubernetes_version": "1.31.4",
    });
    let images = json!({
        "installer_image": "mock-registry.invalid/talos-frr-installer:v1.11.5",
        "talos_image_id": "mock-schematic-id",
        "talos_version": "v1.11.5",
    });
    for (unit, dependency, outputs) in [
        ("compute", "registry", &registry),
        ("config", "registry", &registry),
        ("config", "images", &images),
    ] {
        let unit = format!("clusters/cluster-101/{unit}");
        let found = tree.json(&unit, &["render", "--format", "json"])?;
        let found = &found["dependency"][dependency];
        assert_eq!(&found["mock_outputs"], outputs, "{unit}");
        assert_eq!(
            found["mock_outputs_allowed_terraform_commands"],
            json!(["init", "validate", "plan", "destroy"])
        );
    }
    Ok(())
}

#[test]
fn a_cluster_goes_when_its_images_are_gone_already() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    let unit = "clusters/cluster-103/config";
    tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    fs::remove_dir_all(tree.live(".state/artifacts"))?;
    let destroy = tree.all("clusters/cluster-103", &["destroy", "-no-color"])?;
    expect_units(&destroy, 3);
    destroy.expect_says("talos_machine_secrets.this: Destroying");
    let left: Json = serde_json::from_slice(&fs::read(tree.state(unit))?)?;
    assert_eq!(left["resources"], json!([]));
    Ok(())
}

#[test]
fn networks_plan_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    let plan = tree.all("common", &["plan", "-no-color"])?;
    expect_units(&plan, 2);
    for vnet in ["vnet100", "vnet101", "vnet102", "vnet103"] {
        plan.expect_says(vnet);
    }
    Ok(())
}

#[test]
fn etcd_plans_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    for command in ["init", "validate", "plan"] {
        expect_units(&tree.all("etcd", &[command, "-no-color"])?, 4);
    }
    Ok(())
}

#[test]
fn an_apply_takes_no_mocks() -> Outcome {
    let tree = Tree::new()?;
    for unit in ["compute", "config", "bootstrap"] {
        let directory = format!("clusters/cluster-101/{unit}");
        let apply = tree.terragrunt(&directory, &["apply", "-auto-approve", "-no-color"])?;
        assert_ne!(apply.code, 0, "{unit}: {apply}");
        apply.expect_says("detected no outputs");
    }
    Ok(())
}

#[test]
fn a_plan_with_mocks_is_worth_nothing_later() -> Outcome {
    let tree = Tree::new()?;
    let unit = "clusters/cluster-101/config";
    let saved = tree.live("saved").display().to_string();
    tree.terragrunt(unit, &["plan", "-no-color", &format!("-out={saved}")])?
        .expect_ok();
    // Meanwhile somebody has built them.
    tree.pretend_artifacts()?;
    let apply = tree.terragrunt(unit, &["apply", "-no-color", &saved])?;
    assert_ne!(apply.code, 0, "{apply}");
    assert!(
        !tree.state(unit).exists()
            || !fs::read_to_string(tree.state(unit))?.contains("talos_machine_secrets"),
        "nothing was made"
    );
    let plan = tree.terragrunt("clusters/cluster-101/compute", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says(SHARED_ISO);
    assert!(!plan.text.contains("mock-"), "{plan}");
    Ok(())
}

#[test]
fn the_whole_tree_plans_before_anything_exists() -> Outcome {
    let tree = Tree::new()?;
    for command in ["init", "validate", "plan"] {
        let run = tree.all("", &[command, "-no-color"])?;
        run.expect_ok();
        // All but the optional extension.
        run.expect_says("Run Summary 18 units");
        run.expect_says("Succeeded 17");
        run.expect_says("Excluded 1");
    }
    Ok(())
}

#[test]
fn no_unit_installs_providers_where_others_look() -> Outcome {
    let mut tree = Tree::new()?;
    // As Terragrunt is for who sets nothing: one directory for all units, which inits at once spoil for each other.
    tree.set("TG_NO_AUTO_PROVIDER_CACHE_DIR", "false");
    let cache = tree.live(".cache");
    tree.set("XDG_CACHE_HOME", &cache.display().to_string());
    expect_units(&tree.all("clusters", &["plan", "-no-color"])?, 9);
    let shared = cache.join("terragrunt/providers");
    assert!(shared.is_dir(), "Terragrunt has made it");
    assert_eq!(fs::read_dir(&shared)?.count(), 0, "{}", shared.display());
    Ok(())
}
