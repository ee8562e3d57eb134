# Machine configurations of a cluster. Everything that differs between clusters stands in their cluster.hcl.

locals {
  live      = dirname(find_in_parent_folders("root.hcl"))
  versions  = read_terragrunt_config("${local.live}/common/versions.hcl").locals
  schematic = read_terragrunt_config("${local.live}/common/install-schematic.hcl").locals
  prefixes  = read_terragrunt_config("${local.live}/common/ipv6-prefixes.hcl").locals.prefixes
  proxmox   = read_terragrunt_config("${local.live}/common/proxmox.hcl").locals
  cluster   = read_terragrunt_config(find_in_parent_folders("cluster.hcl")).locals
  clusters  = read_terragrunt_config("${local.live}/common/clusters.hcl").locals
  collision = lookup(local.clusters.collision_of, basename(dirname(find_in_parent_folders("cluster.hcl"))), "")

  # Absent, empty and null all mean the shared artifact.
  given     = { for key, value in try(merge({}, local.cluster.artifact_overrides), {}) : key => value if value != null }
  overrides = merge({ installer_image = null, iso_file_id = null, talos_version = null, kubernetes_version = null }, local.given)

  uses_shared_iso       = local.overrides.iso_file_id == null
  uses_shared_installer = local.overrides.installer_image == null
}

terraform {
  source = "${local.live}/../modules//talos-config"

  before_hook "collision" {
    commands = ["plan", "apply"]
    execute  = ["sh", "-c", "echo \"$0\" >&2; exit 1", local.collision]
    if       = local.collision != ""
  }
}

# The machines first. Nothing of theirs is needed: all addresses follow from the cluster's number.
dependencies {
  paths = ["../compute"]
}

dependency "registry" {
  config_path = "${get_terragrunt_dir()}/../../../artifacts/registry"
  enabled     = local.uses_shared_iso

  mock_outputs = {
    talos_image_file_ids  = { for node in local.cluster.proxmox_nodes : node => "${local.proxmox.image_storage}:iso/mock-talos-image.iso" }
    talos_image_file_name = "mock-talos-image.iso"
    talos_image_id        = "mock-schematic-id"
    talos_version         = local.versions.talos_version
    kubernetes_version    = local.versions.kubernetes_version
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan", "destroy"]
}

dependency "images" {
  config_path = "${get_terragrunt_dir()}/../../../artifacts/images"
  enabled     = local.uses_shared_installer

  mock_outputs = {
    installer_image = "mock-registry.invalid/talos-frr-installer:${local.versions.talos_version}"
    talos_image_id  = "mock-schematic-id"
    talos_version   = local.versions.talos_version
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan", "destroy"]
}

inputs = {
  cluster_id    = local.cluster.cluster_id
  cluster_name  = local.cluster.cluster_name
  controlplanes = local.cluster.controlplanes
  workers       = local.cluster.workers
  proxmox_nodes = local.cluster.proxmox_nodes
  network       = local.cluster.network
  gua_prefix    = lookup(local.prefixes, tostring(local.cluster.cluster_id), null)

  installer_image         = local.uses_shared_installer ? dependency.images.outputs.installer_image : local.overrides.installer_image
  installer_talos_version = local.uses_shared_installer ? dependency.images.outputs.talos_version : null
  talos_image_id          = local.uses_shared_iso ? dependency.registry.outputs.talos_image_id : null
  talos_version           = local.overrides.talos_version != null ? local.overrides.talos_version : local.uses_shared_iso ? dependency.registry.outputs.talos_version : null
  kubernetes_version      = local.overrides.kubernetes_version != null ? local.overrides.kubernetes_version : local.uses_shared_iso ? dependency.registry.outputs.kubernetes_version : null

  artifact_overrides = local.given
  # What was built counts, and not what versions.hcl wants by now.
  shared_talos_version = local.uses_shared_installer ? dependency.images.outputs.talos_version : null

  frr = local.schematic.has_frr && local.cluster.network.use_sdn
}
