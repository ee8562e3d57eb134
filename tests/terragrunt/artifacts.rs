//! The artifacts for real: the real factory makes them, our Proxmox server takes them, and every cluster uses them.

use std::{error::Error, fs};

use proxmox_server::{ROOT_TOKEN, Server, Spec};
use registries::{Catalog, Factory};
use serde_json::Value as Json;
use tests::{Outcome, cluster::until};
use tokio::runtime::Runtime;

use crate::{clusters, tree::Tree};

/// Of the schematic of the examples: one argument and four extensions in their order.
const ID: &str = "2c80398aadeec6f67750bd9a79d3dc3b451bf59ec1eec75c2ab6ca826788737c";
const NODES: [&str; 3] = ["pve01", "pve02", "pve03"];

/// A tree whose artifacts can be applied.
pub(crate) struct Works {
    pub(crate) tree: Tree,
    pub(crate) proxmox: Server,
    pub(crate) factory: Factory,
    pub(crate) runtime: Runtime,
}

impl Works {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let runtime = Runtime::new()?;
        let factory = runtime.block_on(Factory::start(&Catalog::default()));
        let proxmox = Server::start(Spec::default()).map_err(|error| error.to_string())?;
        let mut tree = Tree::new()?;
        for variable in ["PROXMOX_VE_ENDPOINT", "PROXMOX_VE_API_TOKEN"] {
            tree.unset(variable);
        }
        tree.set("PROXMOX_VE_ENDPOINT", &proxmox.endpoint("pve01"));
        tree.set("PROXMOX_VE_API_TOKEN", ROOT_TOKEN);
        tree.set("PROXMOX_VE_FINGERPRINT", proxmox.fingerprint("pve01"));
        tree.set("TALOS_FACTORY_URL", &factory.url());
        Ok(Self {
            tree,
            proxmox,
            factory,
            runtime,
        })
    }

    /// An output of a unit of the artifacts.
    pub(crate) fn output(&self, unit: &str, name: &str) -> Result<Json, Box<dyn Error>> {
        self.tree
            .json(&format!("artifacts/{unit}"), &["output", "-json", name])
    }

    /// What was built and sent so far.
    pub(crate) fn work(&self) -> (Vec<String>, usize) {
        let builds = self.factory.front().builds();
        (builds, self.proxmox.count("POST", "/upload"))
    }

    /// Fails the test unless nothing is left to do.
    pub(crate) fn expect_no_change(&self) -> Outcome {
        let plan = self
            .tree
            .all("artifacts", &["plan", "-no-color", "-detailed-exitcode"])?;
        assert_eq!(plan.code, 0, "nothing is left to do: {plan}");
        Ok(())
    }
}

#[test]
fn artifacts_are_made_once_for_all_clusters() -> Outcome {
    let works = Works::new()?;
    let tree = &works.tree;
    let plan = tree.all("artifacts", &["plan", "-no-color"])?;
    plan.expect_ok();
    let installer = format!("{}/nocloud-installer/{ID}", works.factory.host());
    plan.expect_says(&format!("{installer}:v1.11.5"));
    let iso = format!("talos-v1.11.5-nocloud-amd64-{}.iso", &ID[..8]);
    plan.expect_says(&format!("talos_image_file_name = \"{iso}\""));
    plan.expect_says("upload resources:iso/");
    assert!(!plan.text.contains("Warning: An argument"), "{plan}");
    assert_eq!(works.work(), (Vec::new(), 0), "a plan makes nothing");

    let apply = tree.all("artifacts", &["apply", "-no-color"])?;
    apply.expect_ok();
    apply.expect_says("Succeeded 2");
    let made = works.work();
    let images = made
        .0
        .iter()
        .filter(|build| build.contains("nocloud-amd64"));
    assert_eq!((images.count(), made.1), (1, 1), "{made:?}");
    assert_eq!(works.proxmox.files().len(), 1);

    // What the clusters read.
    let ids = works.output("registry", "talos_image_file_ids")?;
    for node in NODES {
        assert_eq!(ids[node], format!("resources:iso/{iso}"));
    }
    for name in ["talos_version", "kubernetes_version", "talos_image_id"] {
        assert_eq!(
            works.output("images", name)?,
            works.output("registry", name)?
        );
    }
    assert_eq!(works.output("images", "talos_version")?, "v1.11.5");
    assert_eq!(works.output("images", "talos_image_id")?, ID);
    assert_eq!(
        works.output("images", "installer_image")?,
        format!("{installer}:v1.11.5")
    );
    let digest = works.output("images", "installer_image_digest")?;
    let digest = digest.as_str().unwrap_or_default();
    assert!(
        digest.starts_with(&format!("{installer}@sha256:")),
        "{digest}"
    );
    let image = works
        .factory
        .front()
        .image(ID, "v1.11.5", "nocloud-amd64.iso");
    assert_eq!(works.output("images", "sha256")?, image.digest().hex());
    let there = works.proxmox.path("pve02", "resources", "iso", &iso);
    assert!(fs::read(there)? == image.bytes());
    works.expect_no_change()?;

    // A new cluster is a copied directory: it is given what is there.
    clusters::copy(tree)?;
    let plan = tree.all("clusters/cluster-104", &["plan", "-no-color"])?;
    plan.expect_ok();
    plan.expect_says(&format!("file_id = \"resources:iso/{iso}\""));
    let config = "clusters/cluster-104/config";
    tree.terragrunt(config, &["apply", "-auto-approve", "-no-color"])?
        .expect_ok();
    works.expect_no_change()?;
    assert_eq!(works.work(), made, "nothing is built or sent again");

    // Nor for another version of what is in no image.
    for (from, to) in [
        (
            "kubernetes_version = \"1.31.4\"",
            "kubernetes_version = \"1.32.0\"",
        ),
        (
            "cilium_version     = \"1.18.4\"",
            "cilium_version     = \"1.18.5\"",
        ),
    ] {
        tree.edit("common/versions.hcl", from, to)?;
        tree.all("artifacts", &["apply", "-no-color"])?.expect_ok();
        works.expect_no_change()?;
    }
    assert_eq!(works.output("registry", "kubernetes_version")?, "1.32.0");
    assert_eq!(works.work(), made, "it is the same image");
    Ok(())
}

#[test]
fn another_version_is_built_beside_the_one_that_clusters_use() -> Outcome {
    let works = Works::new()?;
    let tree = &works.tree;
    tree.all("artifacts", &["apply", "-no-color"])?.expect_ok();
    let before = works.proxmox.files();
    tree.edit(
        "common/versions.hcl",
        "talos_version      = \"v1.11.5\"",
        "talos_version      = \"v1.12.0\"",
    )?;
    tree.all("artifacts", &["apply", "-no-color"])?.expect_ok();
    works.expect_no_change()?;
    let after = works.proxmox.files();
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(
        before.is_subset(&after),
        "machines boot from the old one still"
    );
    assert_eq!(works.output("registry", "talos_version")?, "v1.12.0");
    let name = works.output("registry", "talos_image_file_name")?;
    assert!(
        name.as_str().is_some_and(|name| name.contains("v1.12.0")),
        "{name}"
    );

    // What was made goes with its units.
    tree.all("artifacts", &["destroy", "-no-color"])?
        .expect_ok();
    let left = works.proxmox.files();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn two_machines_at_once_leave_one_image() -> Outcome {
    let works = Works::new()?;
    let other = works.tree.elsewhere()?;
    let front = works.factory.front();
    front.hold();
    // Neither knows of the other: they have no cache and no state in common.
    let applies = std::thread::scope(|scope| {
        let applies = [&works.tree, &other].map(|tree| {
            scope.spawn(|| {
                let apply = tree.all("artifacts", &["apply", "-no-color"]);
                apply.map_err(|error| error.to_string())
            })
        });
        let both_ask = until("both ask for the image", || {
            let requests = front.requests();
            requests
                .iter()
                .filter(|line| line.contains("/image/"))
                .count()
                == 2
        });
        front.release();
        let applies = applies.map(|apply| apply.join().expect("an apply does not panic"));
        assert!(both_ask.is_ok(), "{both_ask:?}: {applies:?}");
        applies
    });
    for apply in applies {
        apply?.expect_ok();
    }
    let images = front.builds();
    let images = images
        .iter()
        .filter(|build| build.contains("nocloud-amd64"));
    assert_eq!(images.count(), 1, "the factory builds it once");
    assert_eq!(works.proxmox.files().len(), 1);
    for tree in [&works.tree, &other] {
        let plan = tree.all("artifacts", &["plan", "-no-color", "-detailed-exitcode"])?;
        assert_eq!(plan.code, 0, "nothing is left to do: {plan}");
    }
    Ok(())
}
