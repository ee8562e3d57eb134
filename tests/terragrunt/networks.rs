//! Networks and firewall, before there is any cluster.

use proxmox_server::{ROOT_TOKEN, Server, Spec};
use serde_json::json;
use tests::Outcome;

use crate::tree::Tree;

#[test]
fn the_firewall_is_made_for_each_cluster_and_goes() -> Outcome {
    let proxmox = Server::start(Spec::default()).map_err(|error| error.to_string())?;
    let mut tree = Tree::new()?;
    for variable in ["PROXMOX_VE_ENDPOINT", "PROXMOX_VE_API_TOKEN"] {
        tree.unset(variable);
    }
    tree.set("PROXMOX_VE_ENDPOINT", &proxmox.endpoint("pve01"));
    tree.set("PROXMOX_VE_API_TOKEN", ROOT_TOKEN);
    // Its provider knows the roots of the system only.
    tree.set("PROXMOX_VE_INSECURE", "true");
    for unit in ["common/0-sdn-setup", "common/1-firewall"] {
        tree.terragrunt(unit, &["apply", "-auto-approve", "-no-color"])?
            .expect_ok();
    }
    let firewall = proxmox.firewall();
    assert_eq!(
        firewall["options"]["enable"], 0,
        "it is switched on by hand"
    );
    assert_eq!(firewall["options"]["policy_in"], "DROP");
    assert_eq!(firewall["options"]["policy_out"], "ACCEPT");
    assert_eq!(
        firewall["sets"]["talos-admin"],
        json!(["10.0.0.0/24", "fd00::/64"])
    );
    for id in [100, 101, 102, 103] {
        let name = format!("talos-{id}");
        assert_eq!(
            firewall["sets"][&name],
            json!([
                format!("10.0.{id}.0/24"),
                format!("fd00:{id}::/64"),
                format!("fd00:255:{id}::/64"),
            ])
        );
        let rules: Vec<_> = firewall["groups"][&name]
            .as_array()
            .ok_or("rules in their order")?
            .iter()
            .map(|rule| {
                json!([
                    rule["action"],
                    rule["type"],
                    rule["enable"],
                    rule["source"],
                    rule["dport"]
                ])
            })
            .collect();
        assert_eq!(
            rules,
            [
                json!(["ACCEPT", "in", 1, format!("+{name}"), null]),
                json!(["ACCEPT", "in", 1, "+talos-admin", "6443"]),
                json!(["ACCEPT", "in", 1, "+talos-admin", "50000:50001"]),
            ]
        );
    }
    let plan = tree.all("common", &["plan", "-detailed-exitcode", "-no-color"])?;
    assert_eq!(plan.code, 0, "nothing is left to do: {plan}");

    tree.all("common", &["destroy", "-no-color"])?.expect_ok();
    let firewall = proxmox.firewall();
    assert_eq!(
        (&firewall["sets"], &firewall["groups"]),
        (&json!({}), &json!({}))
    );
    Ok(())
}
