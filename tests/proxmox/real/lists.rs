//! Data sources: what the cluster has. Not the one of the version: 0.80.0 reads no version that
//! Proxmox VE writes.

use crate::site::{Login, Outcome, Site};

#[tokio::test]
async fn lists_nodes_and_storages() -> Outcome {
    let site = Site::new(Login::Token)?;
    site.configure(
        r#"
data "proxmox_virtual_environment_nodes" "all" {}
data "proxmox_virtual_environment_datastores" "all" { node_name = "pve03" }
data "proxmox_virtual_environment_vms" "none" { node_name = "pve01" }
output "told" {
  value = join(" ", [
    join(",", data.proxmox_virtual_environment_nodes.all.names),
    join(",", [for one in data.proxmox_virtual_environment_datastores.all.datastores :
      one.id if one.shared && one.active && contains(one.content_types, "iso")]),
    length(data.proxmox_virtual_environment_vms.none.vms),
  ])
}
"#,
    )?;
    let applied = site.apply().await?;
    applied
        .expect(0)
        .says("told = \"pve01,pve02,pve03 resources 0\"");
    Ok(())
}
