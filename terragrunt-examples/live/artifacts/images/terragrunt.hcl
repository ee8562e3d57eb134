# Installer and boot image, built once for all clusters.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live      = dirname(find_in_parent_folders("root.hcl"))
  versions  = read_terragrunt_config("${local.live}/common/versions.hcl").locals
  schematic = read_terragrunt_config("${local.live}/common/install-schematic.hcl").locals
  ssh       = read_terragrunt_config("${local.live}/common/ssh.hcl").locals
  is_imager = local.schematic.mode == "imager"
}

terraform {
  source = "${local.live}/../modules//talos-images"
}

generate "provider" {
  path      = "provider.tf"
  if_exists = "overwrite_terragrunt"
  contents  = <<-EOF
    provider "etcd" {
      ssh {
        user             = ${jsonencode(local.ssh.user)}
        private_key_file = ${jsonencode(local.ssh.private_key_file)}
        known_hosts_file = ${jsonencode(local.ssh.known_hosts_file)}
      }
    }
  EOF
}

dependency "extension" {
  config_path = "${get_terragrunt_dir()}/../extension"
  enabled     = local.is_imager && local.schematic.build_extension

  mock_outputs = {
    extension_image = "mock-registry.invalid/talos-frr-extension:${local.schematic.extension_version}"
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan", "destroy"]
}

inputs = {
  talos_version      = local.versions.talos_version
  kubernetes_version = local.versions.kubernetes_version
  platform           = local.versions.talos_platform
  architecture       = local.versions.talos_architecture

  mode              = local.schematic.mode
  factory_url       = local.schematic.factory_url
  system_extensions = local.schematic.install_system_extensions
  kernel_args       = local.schematic.install_kernel_args

  # A built extension takes the place of the published one.
  custom_extensions = !local.is_imager ? [] : local.schematic.build_extension ? [dependency.extension.outputs.extension_image] : local.schematic.install_custom_extensions

  iso_name            = local.is_imager ? local.schematic.iso_name : null
  artifact_repository = local.is_imager ? local.schematic.artifact_repository : null
  builder             = local.is_imager ? { host = local.schematic.build_host } : null
  installer           = local.is_imager ? { repository = local.schematic.installer_repository, tag = local.schematic.installer_tag, platform = "metal" } : null
}
