# Security groups of the clusters, and the firewall of the Proxmox cluster.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live     = dirname(find_in_parent_folders("root.hcl"))
  proxmox  = read_terragrunt_config("${local.live}/common/proxmox.hcl").locals
  clusters = read_terragrunt_config("${local.live}/common/clusters.hcl").locals
}

terraform {
  source = "${local.live}/../modules//proxmox-firewall"

  before_hook "collision" {
    commands = ["plan", "apply"]
    execute  = ["sh", "-c", "echo \"$0\" >&2; exit 1", local.clusters.collision]
    if       = local.clusters.collision != ""
  }
}

dependencies {
  paths = ["../0-sdn-setup"]
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-EOF
    provider "proxmox" {
      endpoint = ${jsonencode(local.proxmox.endpoint)}
      insecure = ${local.proxmox.insecure}
    }
  EOF
}

inputs = {
  cluster_ids    = local.clusters.ids
  admin_networks = local.proxmox.admin_networks
  enabled        = local.proxmox.firewall_enabled
}
