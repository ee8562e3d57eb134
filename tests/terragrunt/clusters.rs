//! A new cluster is a copied directory and four values.

use std::{fs, process::Command};

use tests::Outcome;

use crate::tree::{SHARED_INSTALLER, SHARED_ISO, Tree};

/// What cluster-104 says of itself.
const NEW: &str = "clusters/cluster-104/cluster.hcl";

/// The four values that make a cluster another one.
const EDITS: [(&str, &str); 4] = [
    ("cluster_name  = \"terra\"", "cluster_name  = \"ceres\""),
    ("cluster_id    = 103", "cluster_id    = 104"),
    ("vlan_public   = 103", "vlan_public   = 104"),
    ("bridge_mesh   = \"vnet103\"", "bridge_mesh   = \"vnet104\""),
];

/// Makes cluster-104 of cluster-103: a copied directory and four values.
pub(crate) fn copy(tree: &Tree) -> Outcome {
    copy_directory(tree)?;
    for (from, to) in EDITS {
        tree.edit(NEW, from, to)?;
    }
    Ok(())
}

/// The copied directory alone.
fn copy_directory(tree: &Tree) -> Outcome {
    let (old, new) = (
        tree.live("clusters/cluster-103"),
        tree.live("clusters/cluster-104"),
    );
    let copied = Command::new("cp").arg("-r").arg(&old).arg(&new).status()?;
    assert!(copied.success());
    Ok(())
}

#[test]
fn four_values_make_a_cluster_and_nothing_is_built() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    // As a person does it, in a tree where the old cluster was applied: with all that is left there.
    tree.all("clusters/cluster-103", &["plan", "-no-color"])?
        .expect_ok();
    tree.terragrunt(
        "clusters/cluster-103/config",
        &["apply", "-auto-approve", "-no-color"],
    )?
    .expect_ok();
    copy(&tree)?;
    let shared = |unit: &str| fs::read(tree.state(&format!("artifacts/{unit}")));
    let before = (shared("images")?, shared("registry")?);
    let plan = tree.all("clusters/cluster-104", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says("Run Summary 3 units");
    plan.expect_says("0 to change, 0 to destroy");
    plan.expect_says(&format!("file_id = \"{SHARED_ISO}\""));
    for address in [
        "fd00:104::11/64",
        "10.0.104.21/24",
        "vnet104",
        "cerescp01",
        "cereswk03",
    ] {
        plan.expect_says(address);
    }
    for other in ["terra", "fd00:103", "vnet103"] {
        assert!(
            !plan
                .text
                .replace("terraform", "")
                .replace("terragrunt", "")
                .contains(other),
            "{other}: {plan}"
        );
    }
    assert_eq!((shared("images")?, shared("registry")?), before);
    // Its network and its security group need no edit either.
    let networks = tree.all("common", &["plan", "-no-color"])?;
    networks.expect_ok();
    networks.expect_says("pvesh create /cluster/sdn/vnets --vnet vnet104 --zone talos --tag 10104");
    networks.expect_says("name = \"talos-104\"");
    let config = "clusters/cluster-104/config";
    tree.terragrunt(config, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    let secrets = |unit: &str| tree.json(unit, &["output", "-json", "client_configuration"]);
    assert_ne!(
        secrets(config)?,
        secrets("clusters/cluster-103/config")?,
        "each cluster has secrets of its own"
    );
    Ok(())
}

/// What a plan says of values that clusters 103 and 104 share.
fn collision(shared: &str) -> String {
    format!(
        "clusters/cluster-103 and clusters/cluster-104 both have {shared}: each cluster needs its own, so edit what is \
         named here in the cluster.hcl of one of them."
    )
}

#[test]
fn a_copied_directory_is_refused_until_it_is_a_cluster_of_its_own() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    copy_directory(&tree)?;
    let all = collision(
        "cluster_id = 103, cluster_name = terra, network.bridge_mesh = vnet103, network.vlan_public = 103",
    );
    // The others have no part in it.
    let plan = tree.all("clusters", &["plan", "-no-color"])?;
    assert_ne!(plan.code, 0, "{plan}");
    plan.expect_says(&all);
    for count in ["12 units", "Succeeded 6", "Failed 2", "Early Exits 4"] {
        plan.expect_says(count);
    }
    // No unit goes past it alone, and nothing is made.
    for unit in ["0-sdn-setup", "1-firewall"].map(|unit| format!("common/{unit}")) {
        refused(&tree, &unit, &["plan", "-no-color"], &all)?;
    }
    for unit in ["compute", "config", "bootstrap"] {
        let unit = format!("clusters/cluster-104/{unit}");
        refused(&tree, &unit, &["plan", "-no-color"], &all)?;
    }
    let unit = "clusters/cluster-104/config";
    refused(&tree, unit, &["apply", "-auto-approve", "-no-color"], &all)?;
    assert!(!tree.state(unit).exists());
    // Who made it nevertheless may take it away.
    tree.all(
        "clusters/cluster-104",
        &["destroy", "-auto-approve", "-no-color"],
    )?
    .expect_ok();

    let left = [
        "cluster_id = 103, network.bridge_mesh = vnet103, network.vlan_public = 103",
        "network.bridge_mesh = vnet103, network.vlan_public = 103",
        "network.bridge_mesh = vnet103",
    ];
    for ((from, to), shared) in EDITS.into_iter().zip(left) {
        tree.edit(NEW, from, to)?;
        for unit in ["common/0-sdn-setup", "clusters/cluster-103/compute"] {
            refused(&tree, unit, &["plan", "-no-color"], &collision(shared))?;
        }
    }
    let (from, to) = EDITS[3];
    tree.edit(NEW, from, to)?;
    for unit in ["common/0-sdn-setup", "clusters/cluster-103/compute"] {
        tree.terragrunt(unit, &["plan", "-no-color"])?.expect_ok();
    }
    Ok(())
}

#[track_caller]
fn refused(tree: &Tree, unit: &str, arguments: &[&str], sentence: &str) -> Outcome {
    let run = tree.terragrunt(unit, arguments)?;
    assert_ne!(run.code, 0, "{unit}: {run}");
    run.expect_says(sentence);
    Ok(())
}

#[test]
fn each_value_alone_is_refused() -> Outcome {
    let tree = Tree::new()?;
    copy(&tree)?;
    for ((old, new), shared) in EDITS.into_iter().zip([
        "cluster_name = terra",
        "cluster_id = 103",
        "network.vlan_public = 103",
        "network.bridge_mesh = vnet103",
    ]) {
        tree.edit(NEW, new, old)?;
        let unit = "common/0-sdn-setup";
        refused(&tree, unit, &["plan", "-no-color"], &collision(shared))?;
        tree.edit(NEW, old, new)?;
    }
    Ok(())
}

#[test]
fn clusters_may_share_what_does_not_meet() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    copy(&tree)?;
    let plan = || tree.terragrunt("clusters/cluster-104/compute", &["plan", "-no-color"]);
    // The same VLAN on another bridge, and a second network that is not used.
    for (from, to) in [
        ("vlan_public   = 104", "vlan_public   = 103"),
        ("bridge_public = \"vmbr0\"", "bridge_public = \"vmbr1\""),
        ("bridge_mesh   = \"vnet104\"", "bridge_mesh   = \"vnet103\""),
        ("use_sdn       = true", "use_sdn       = false"),
    ] {
        tree.edit(NEW, from, to)?;
    }
    plan()?.expect_ok();
    // One bridge without VLANs.
    for file in [NEW, "clusters/cluster-103/cluster.hcl"] {
        tree.edit(file, "vlan_public   = 103", "vlan_public   = 0")?;
    }
    tree.edit(NEW, "\"vmbr1\"", "\"vmbr0\"")?;
    plan()?.expect_ok();
    Ok(())
}

#[test]
fn machines_and_configurations_are_of_one_version() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    let unit = "clusters/cluster-101/config";
    tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    assert_eq!(
        tree.json(unit, &["output", "-json", "talos_version"])?,
        "v1.11.5"
    );
    let plan = tree.terragrunt("clusters/cluster-101/compute", &["plan", "-no-color"])?;
    plan.expect_says("talos_version = \"v1.11.5\"");
    // The images are newer than what was distributed: a machine would boot one version and install another.
    tree.pretend(
        "artifacts/images",
        &serde_json::json!({"installer_image": "example.test/x:v1.12.0", "talos_image_id": "x", "talos_version": "v1.12.0"}),
    )?;
    let plan = tree.terragrunt(unit, &["plan", "-no-color"])?;
    assert_ne!(plan.code, 0, "{plan}");
    plan.expect_says(
        "The machines boot Talos v1.11.5, but the shared installer would install v1.12.0",
    );
    Ok(())
}

#[test]
fn a_new_version_waits_for_each_cluster() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    let unit = "clusters/cluster-101/config";
    let plan = || tree.terragrunt(unit, &["plan", "-detailed-exitcode", "-no-color"]);
    tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    tree.edit(
        "common/versions.hcl",
        "talos_version      = \"v1.11.5\"",
        "talos_version      = \"v1.12.0\"",
    )?;
    let before = plan()?;
    assert_eq!(before.code, 0, "nothing is built yet: {before}");
    tree.pretend_artifacts_of("v1.12.0")?;
    let after = plan()?;
    assert_eq!(
        after.code, 2,
        "the plan shows what an apply would change: {after}"
    );
    after.expect_says(&SHARED_INSTALLER.replace("v1.11.5", "v1.12.0"));
    assert!(
        !after.text.contains("must be replaced"),
        "the secrets of the cluster stay: {after}"
    );
    let pin = format!(
        "artifact_overrides = {{\n installer_image = \"{SHARED_INSTALLER}\"\n talos_version = \"v1.11.5\"\n \
         kubernetes_version = \"1.31.4\"\n}}"
    );
    tree.edit(
        "clusters/cluster-101/cluster.hcl",
        "artifact_overrides = {}",
        &pin,
    )?;
    let pinned = plan()?;
    assert_eq!(pinned.code, 0, "pinned to what it runs: {pinned}");
    Ok(())
}

#[test]
fn staging_goes_first() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    let config = |id: &str| format!("clusters/cluster-{id}/config");
    for id in ["101", "102"] {
        tree.terragrunt(&config(id), &["apply", "-auto-approve", "-no-color"])?
            .expect_ok();
    }
    let commands = |id: &str| tree.json(&config(id), &["output", "-json", "upgrade_commands"]);
    let before = commands("101")?;
    // As the guide says it: production names what it runs, then the new version is built.
    let installer = tree.json(&config("101"), &["output", "-json", "installer_image"])?;
    assert_eq!(installer, SHARED_INSTALLER);
    tree.edit(
        "clusters/cluster-101/cluster.hcl",
        "artifact_overrides = {}",
        &format!(
            "artifact_overrides = {{\n installer_image = {installer}\n talos_version = \"v1.11.5\"\n \
             kubernetes_version = \"1.31.4\"\n}}"
        ),
    )?;
    tree.edit(
        "common/versions.hcl",
        "talos_version      = \"v1.11.5\"",
        "talos_version      = \"v1.12.0\"",
    )?;
    tree.pretend_artifacts_of("v1.12.0")?;

    let plan = tree.all("clusters/cluster-102", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says(&SHARED_INSTALLER.replace("v1.11.5", "v1.12.0"));
    tree.terragrunt(&config("102"), &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    let upgrade = commands("102")?;
    let upgrade = upgrade.as_array().ok_or("a list")?;
    assert_eq!(upgrade.len(), 7, "six nodes, then Kubernetes: {upgrade:?}");
    let image = SHARED_INSTALLER.replace("v1.11.5", "v1.12.0");
    for (command, node) in upgrade.iter().zip([11, 12, 13, 21, 22, 23]) {
        assert_eq!(
            command,
            &format!("talosctl upgrade --nodes fd00:102::{node} --image {image}")
        );
    }
    assert_eq!(
        upgrade[6],
        "talosctl upgrade-k8s --nodes fd00:102::11 --to 1.31.4"
    );

    // Production stays where it is, in the same tree.
    let detailed = &["plan", "-detailed-exitcode", "-no-color"];
    let plan = tree.terragrunt(&config("101"), detailed)?;
    assert_eq!(plan.code, 0, "{plan}");
    assert_eq!(commands("101")?, before);
    let compute = tree.terragrunt("clusters/cluster-101/compute", &["plan", "-no-color"])?;
    compute.expect_ok();
    // A machine that is made now boots the newer image, and installs what the cluster runs.
    compute.expect_says(&SHARED_ISO.replace("v1.11.5", "v1.12.0"));
    Ok(())
}
