//! The values of the live tree: what a cluster is called, what it is made of, and where each version is said.

use std::{error::Error, fs, path::Path};

use serde_json::{Value as Json, json};
use tests::Outcome;

use crate::{
    layout::CLUSTERS,
    tree::{SHARED_INSTALLER, SHARED_ISO, Tree, files},
};

const NODES: [&str; 3] = ["pve01", "pve02", "pve03"];

/// The inputs of a unit as its module gets them.
fn inputs(tree: &Tree, unit: &str) -> Result<Json, Box<dyn Error>> {
    Ok(tree.json(unit, &["render", "--format", "json"])?["inputs"].clone())
}

#[test]
fn each_cluster_is_what_its_number_says() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    for (id, name, _) in CLUSTERS {
        let number: u32 = id.parse()?;
        let cluster = format!("clusters/cluster-{id}");
        let compute = inputs(&tree, &format!("{cluster}/compute"))?;
        let config = inputs(&tree, &format!("{cluster}/config"))?;
        let network = json!({
            "bridge_public": "vmbr0",
            "vlan_public": number,
            "bridge_mesh": format!("vnet{id}"),
            "vlan_mesh": 0,
            "public_mtu": 1500,
            "mesh_mtu": 8930,
            "use_sdn": true,
        });
        for unit in [&compute, &config] {
            assert_eq!(unit["cluster_name"], name);
            assert_eq!(unit["cluster_id"], number);
            assert_eq!(unit["controlplanes"], 3);
            assert_eq!(unit["workers"], 3);
            assert_eq!(unit["proxmox_nodes"], json!(NODES));
            assert_eq!(unit["network"], network, "{cluster}");
            assert_eq!(unit["gua_prefix"], format!("2001:db8:0:{id}::/64"));
            assert_eq!(unit["artifact_overrides"], json!({}));
            assert_eq!(unit["talos_version"], "v1.11.5");
            assert_eq!(unit["kubernetes_version"], "1.31.4");
        }
        assert_eq!(compute["storage_default"], "rbd-vm");
        assert_eq!(
            compute["talos_image_file_ids"],
            json!({"pve01": SHARED_ISO, "pve02": SHARED_ISO, "pve03": SHARED_ISO})
        );
        assert_eq!(config["installer_image"], SHARED_INSTALLER);
        // One machine of production has more than the others, and a device.
        let overrides = match name {
            "sol" => json!({"solwk01": {
                "cores": 8, "memory_mb": 32768, "gpu_passthrough": {"mapping": "gpu"},
            }}),
            _ => json!({}),
        };
        assert_eq!(compute["node_overrides"], overrides, "{cluster}");
        let bootstrap = inputs(&tree, &format!("{cluster}/bootstrap"))?;
        assert_eq!(bootstrap["cilium_version"], "1.18.4");
        let names: Vec<_> = (1..=3)
            .map(|i| format!("{name}cp0{i}"))
            .chain((1..=3).map(|i| format!("{name}wk0{i}")))
            .collect();
        let machines = bootstrap["nodes"].as_object().ok_or("nodes by name")?;
        assert!(machines.keys().eq(&names), "{machines:?}");
        let text = fs::read_to_string(tree.live(&cluster).join("cluster.hcl"))?;
        let hostnames = NODES
            .map(|node| format!("\"{node}.sulibot.com\""))
            .join(", ");
        let line = format!("  proxmox_hostnames = [{hostnames}]\n");
        assert!(text.contains(&line), "{text}");
    }
    Ok(())
}

#[test]
fn a_version_is_said_in_one_place() -> Outcome {
    let tree = Tree::new()?;
    let versions = fs::read_to_string(tree.live("common/versions.hcl"))?;
    let said = ["v1.11.5", "1.31.4", "nocloud", "amd64", "1.18.4"];
    for version in said {
        let line = format!("= \"{version}\"\n");
        assert_eq!(versions.matches(&line).count(), 1, "{version}: {versions}");
    }
    for file in files(&tree.live(""))? {
        let is_code = Path::new(&file).extension().is_some_and(|end| end == "hcl");
        if !is_code || file == "common/versions.hcl" {
            continue;
        }
        let text = fs::read_to_string(tree.live(&file))?;
        for (number, line) in text.lines().enumerate() {
            let code = line.split('#').next().unwrap_or_default();
            let again = said.iter().find(|version| code.contains(**version));
            assert_eq!(again, None, "{file}:{}: {line}", number + 1);
        }
    }
    Ok(())
}

#[test]
fn a_cluster_without_a_prefix_of_its_own_has_none() -> Outcome {
    let tree = Tree::new()?;
    tree.pretend_artifacts()?;
    tree.edit(
        "common/ipv6-prefixes.hcl",
        "    \"102\" = \"2001:db8:0:102::/64\"\n",
        "",
    )?;
    for unit in ["compute", "config"] {
        for (id, prefix) in [("101", json!("2001:db8:0:101::/64")), ("102", Json::Null)] {
            let found = inputs(&tree, &format!("clusters/cluster-{id}/{unit}"))?;
            assert_eq!(found["gua_prefix"], prefix, "{id}/{unit}");
        }
    }
    Ok(())
}
