# VNets vnet100 to vnet103. The provider of this version cannot make them: the output `commands` says how to, once, by hand.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live    = dirname(find_in_parent_folders("root.hcl"))
  proxmox = read_terragrunt_config("${local.live}/common/proxmox.hcl").locals
}

terraform {
  source = "${local.live}/../modules//proxmox-sdn"
}

inputs = {
  cluster_ids = [100, 101, 102, 103]
  controller  = local.proxmox.evpn_controller
  mtu         = 8930
}
