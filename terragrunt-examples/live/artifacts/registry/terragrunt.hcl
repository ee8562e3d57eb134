# Puts the boot image on the Proxmox storages, for all clusters.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live     = dirname(find_in_parent_folders("root.hcl"))
  versions = read_terragrunt_config("${local.live}/common/versions.hcl").locals
  proxmox  = read_terragrunt_config("${local.live}/common/proxmox.hcl").locals
}

terraform {
  source = "${local.live}/../modules//talos-registry"
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-EOF
    provider "etcd" {
      proxmox {
        endpoint    = ${jsonencode(local.proxmox.endpoint)}
        ca_file     = ${local.proxmox.ca_file == "" ? "null" : jsonencode(local.proxmox.ca_file)}
        fingerprint = ${local.proxmox.fingerprint == "" ? "null" : jsonencode(local.proxmox.fingerprint)}
        insecure    = ${local.proxmox.insecure}
      }
    }
  EOF
}

dependency "images" {
  config_path = "${get_terragrunt_dir()}/../images"

  mock_outputs = {
    image = {
      artifact_id        = "mock-schematic-id"
      talos_version      = local.versions.talos_version
      kubernetes_version = local.versions.kubernetes_version
      platform           = local.versions.talos_platform
      architecture       = local.versions.talos_architecture
      format             = "iso"
      file_name          = "mock-talos-image.iso"
      url                = "https://mock-factory.invalid/mock-talos-image.iso"
    }
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan", "destroy"]
}

inputs = {
  image         = dependency.images.outputs.image
  storage       = local.proxmox.image_storage
  proxmox_nodes = local.proxmox.nodes
}
