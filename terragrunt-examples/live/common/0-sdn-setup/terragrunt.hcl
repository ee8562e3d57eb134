# VNets: vnet100, and one for each cluster. The provider of this version cannot make them: the output `commands` says how
# to, once, by hand.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live     = dirname(find_in_parent_folders("root.hcl"))
  proxmox  = read_terragrunt_config("${local.live}/common/proxmox.hcl").locals
  clusters = read_terragrunt_config("${local.live}/common/clusters.hcl").locals
}

terraform {
  source = "${local.live}/../modules//proxmox-sdn"

  before_hook "collision" {
    commands = ["plan", "apply"]
    execute  = ["sh", "-c", "echo \"$0\" >&2; exit 1", local.clusters.collision]
    if       = local.clusters.collision != ""
  }
}

inputs = {
  cluster_ids = local.clusters.ids
  controller  = local.proxmox.evpn_controller
  mtu         = 8930
}
