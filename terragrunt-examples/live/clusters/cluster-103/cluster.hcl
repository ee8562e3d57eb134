# Cluster 103, terra: development. All addresses follow from cluster_id.
locals {
  cluster_name  = "terra"
  cluster_id    = 103
  controlplanes = 3
  workers       = 3

  proxmox_nodes   = ["pve01", "pve02", "pve03"]
  storage_default = "rbd-vm"

  # For people and scripts that talk to a node itself; no unit reads them.
  proxmox_hostnames = ["pve01.sulibot.com", "pve02.sulibot.com", "pve03.sulibot.com"]

  network = {
    bridge_public = "vmbr0"
    vlan_public   = 103
    bridge_mesh   = "vnet103"
    vlan_mesh     = 0
    public_mtu    = 1500
    mesh_mtu      = 8930
    use_sdn       = true
  }

  # By the name of a node: more of it, or a device.
  node_overrides = {}

  # Images of this cluster's own instead of the shared ones: installer_image, iso_file_id, talos_version,
  # kubernetes_version. With an image, name both versions. Empty: what artifacts/ has built.
  artifact_overrides = {}
}
