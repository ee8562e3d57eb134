//! Every module passes its own tests.

use std::fs;

use tests::Outcome;

use crate::tree::{Tree, files};

/// Runs the tests of one module.
fn check(name: &str) -> Outcome {
    let tree = Tree::new()?;
    let directory = tree.module(name);
    let own: Vec<_> = files(&directory)?
        .into_iter()
        .filter(|file| file.ends_with(".tftest.hcl"))
        .collect();
    assert_ne!(own, Vec::<String>::new(), "{name} has no tests");
    tree.tofu(&directory, &["init", "-no-color"])?.expect_ok();
    let run = tree.tofu(&directory, &["test", "-no-color"])?;
    run.expect_ok();
    run.expect_says("Success!");
    Ok(())
}

macro_rules! modules {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() -> Outcome {
                check($name)
            }
        )*

        #[test]
        fn none_is_forgotten() -> Outcome {
            let tree = Tree::new()?;
            let mut there = Vec::new();
            for entry in fs::read_dir(tree.module(""))? {
                there.push(entry?.file_name().to_string_lossy().into_owned());
            }
            there.sort();
            assert_eq!(there, [$($name),*]);
            Ok(())
        }
    };
}

modules! {
    address_plan: "address-plan",
    artifact_overrides: "artifact-overrides",
    etcd_ca: "etcd-ca",
    etcd_cluster: "etcd-cluster",
    no_mocks: "no-mocks",
    proxmox_firewall: "proxmox-firewall",
    proxmox_sdn: "proxmox-sdn",
    talos_bootstrap: "talos-bootstrap",
    talos_compute: "talos-compute",
    talos_config: "talos-config",
    talos_extension: "talos-extension",
    talos_images: "talos-images",
    talos_registry: "talos-registry",
}
