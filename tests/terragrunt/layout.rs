//! What lies where, and what depends on what.

use std::{collections::BTreeMap, fs};

use serde_json::{Value as Json, json};
use tests::Outcome;

use crate::tree::{Tree, files};

/// Number, name and purpose of each cluster.
pub(crate) const CLUSTERS: [(&str, &str, &str); 3] = [
    ("101", "sol", "production"),
    ("102", "luna", "staging"),
    ("103", "terra", "development"),
];

#[test]
fn the_tree_is_complete() -> Outcome {
    let tree = Tree::new()?;
    let there = files(&tree.live(""))?;
    let mut wanted: Vec<String> = [
        "README.md",
        "root.hcl",
        "common/versions.hcl",
        "common/clusters.hcl",
        "common/install-schematic.hcl",
        "common/ipv6-prefixes.hcl",
        "common/credentials.hcl",
        "common/0-sdn-setup/terragrunt.hcl",
        "common/1-firewall/terragrunt.hcl",
        "artifacts/README.md",
        "artifacts/extension/terragrunt.hcl",
        "artifacts/images/terragrunt.hcl",
        "artifacts/registry/terragrunt.hcl",
    ]
    .map(ToOwned::to_owned)
    .into();
    for (id, name, purpose) in CLUSTERS {
        let cluster = format!("clusters/cluster-{id}");
        for file in [
            "cluster.hcl",
            "README.md",
            "compute/terragrunt.hcl",
            "config/terragrunt.hcl",
            "bootstrap/terragrunt.hcl",
        ] {
            wanted.push(format!("{cluster}/{file}"));
        }
        let about = fs::read_to_string(tree.live(&cluster).join("README.md"))?;
        for part in [
            format!("# cluster-{id}: {name}, {purpose}"),
            "## Quick start".to_owned(),
            "## Structure".to_owned(),
            "## Special configuration".to_owned(),
            "## Owner".to_owned(),
        ] {
            assert!(about.contains(&part), "{cluster}/README.md has no {part}");
        }
    }
    for file in wanted {
        assert!(there.contains(&file), "{file} is missing");
    }
    let stray: Vec<_> = there
        .iter()
        .filter(|file| file.starts_with("clusters/") && file.contains("artifacts"))
        .collect();
    assert_eq!(stray, Vec::<&String>::new(), "clusters build nothing");
    Ok(())
}

#[test]
fn everything_is_formatted() -> Outcome {
    let tree = Tree::new()?;
    tree.terragrunt("", &["hcl", "fmt", "--check"])?.expect_ok();
    tree.tofu(&tree.module(""), &["fmt", "-recursive", "-check", "-diff"])?
        .expect_ok();
    Ok(())
}

#[test]
fn units_run_in_order_and_clusters_only_read_what_is_shared() -> Outcome {
    let tree = Tree::new()?;
    let found = tree.json("", &["find", "--json", "--dag", "--dependencies"])?;
    let units: BTreeMap<String, Vec<String>> = found
        .as_array()
        .ok_or("a list")?
        .iter()
        .map(|unit| {
            let names = |value: &serde_json::Value| -> Vec<String> {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|name| name.as_str().map(ToOwned::to_owned))
                    .collect()
            };
            let mut dependencies = names(&unit["dependencies"]);
            dependencies.sort();
            (
                unit["path"].as_str().unwrap_or_default().to_owned(),
                dependencies,
            )
        })
        .collect();
    let needs = |unit: &str| units[unit].iter().map(String::as_str).collect::<Vec<_>>();
    // Optional, and off: nobody waits for it.
    assert_eq!(needs("artifacts/images"), Vec::<&str>::new());
    assert_eq!(needs("artifacts/registry"), ["artifacts/images"]);
    assert_eq!(needs("common/1-firewall"), ["common/0-sdn-setup"]);
    for (id, _, _) in CLUSTERS {
        let cluster = format!("clusters/cluster-{id}");
        assert_eq!(needs(&format!("{cluster}/compute")), ["artifacts/registry"]);
        assert_eq!(
            needs(&format!("{cluster}/config")),
            [
                "artifacts/images",
                "artifacts/registry",
                &format!("{cluster}/compute")
            ]
        );
        assert_eq!(
            needs(&format!("{cluster}/bootstrap")),
            [format!("{cluster}/config")]
        );
    }
    for cluster in ["etcd/k8s", "etcd/events", "etcd/config"] {
        assert_eq!(needs(cluster), ["etcd/ca"]);
    }
    Ok(())
}

#[test]
fn artifacts_know_no_cluster() -> Outcome {
    let tree = Tree::new()?;
    for unit in ["extension", "images", "registry"] {
        let text = fs::read_to_string(tree.live("artifacts").join(unit).join("terragrunt.hcl"))?;
        assert!(!text.contains("cluster.hcl"), "{unit}:\n{text}");
    }
    let schematic = fs::read_to_string(tree.live("common/install-schematic.hcl"))?;
    for (_, name, _) in CLUSTERS {
        assert!(
            !schematic.contains(&format!("-{name}")),
            "{name} is in {schematic}"
        );
    }
    Ok(())
}

#[test]
fn every_unit_of_a_kind_is_the_same_text() -> Outcome {
    let tree = Tree::new()?;
    for unit in ["compute", "config", "bootstrap"] {
        let texts = CLUSTERS
            .iter()
            .map(|(id, _, _)| {
                fs::read_to_string(
                    tree.live(&format!("clusters/cluster-{id}/{unit}/terragrunt.hcl")),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        assert!(
            texts.iter().all(|text| *text == texts[0]),
            "{unit} differs between clusters"
        );
    }
    Ok(())
}

#[test]
fn units_pass_on_what_modules_ask_for() -> Outcome {
    let tree = Tree::new()?;
    let run = tree.terragrunt("", &["hcl", "validate", "--inputs", "--strict"])?;
    run.expect_ok();
    tree.terragrunt("", &["hcl", "validate"])?.expect_ok();
    Ok(())
}

#[test]
fn one_word_chooses_who_builds_the_images() -> Outcome {
    let mut tree = Tree::new()?;
    tree.set("TALOS_BUILD_HOST", "10.0.0.5");
    let schematic = "common/install-schematic.hcl";
    let inputs = |tree: &Tree| -> Result<Json, Box<dyn std::error::Error>> {
        Ok(tree.json("artifacts/images", &["render", "--format", "json"])?["inputs"].clone())
    };

    let factory = inputs(&tree)?;
    assert_eq!(factory["mode"], "factory");
    assert_eq!(factory["custom_extensions"], json!([]));
    assert_eq!(factory["installer"], Json::Null);
    for (input, wanted) in [
        ("talos_version", "v1.11.5"),
        ("kubernetes_version", "1.31.4"),
        ("platform", "nocloud"),
        ("architecture", "amd64"),
    ] {
        assert_eq!(factory[input], wanted);
    }
    assert_eq!(
        factory["kernel_args"],
        json!(["talos.unified_cgroup_hierarchy=1"])
    );
    let pinned = factory["system_extensions"].to_string();
    for extension in [
        "intel-ucode:20250812@sha256:",
        "qemu-guest-agent:10.0.2@sha256:",
        "crun:1.24@sha256:",
        "ctr:v2.1.5@sha256:",
    ] {
        assert!(pinned.contains(extension), "{extension} is not in {pinned}");
    }

    tree.edit(
        schematic,
        "mode        = \"factory\"",
        "mode        = \"imager\"",
    )?;
    let own = inputs(&tree)?;
    assert_eq!(
        own["custom_extensions"],
        json!(["ghcr.io/sulibot/talos-frr-extension:v1.0.18"])
    );
    assert_eq!(
        own["installer"],
        json!({"repository": "ghcr.io/sulibot/talos-frr-installer", "tag": "v1.11.5", "platform": "metal"})
    );
    assert_eq!(own["iso_name"], "talos-frr-v1.11.5-nocloud-amd64.iso");
    assert_eq!(own["system_extensions"], factory["system_extensions"]);

    tree.edit(
        schematic,
        "build_extension      = false",
        "build_extension      = true",
    )?;
    let found = tree.json("artifacts", &["find", "--json", "--dependencies"])?;
    let images = found
        .as_array()
        .into_iter()
        .flatten()
        .find(|unit| unit["path"] == "images")
        .ok_or("the unit is there")?;
    assert_eq!(images["dependencies"], json!(["extension"]));
    Ok(())
}
