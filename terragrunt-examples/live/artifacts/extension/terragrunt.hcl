# The FRR extension, for who builds it: switch build_extension on in common/install-schematic.hcl.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live      = dirname(find_in_parent_folders("root.hcl"))
  schematic = read_terragrunt_config("${local.live}/common/install-schematic.hcl").locals
}

exclude {
  if      = !local.schematic.build_extension
  actions = ["all"]
}

terraform {
  source = "${local.live}/../modules//talos-extension"
}

inputs = {
  repository        = local.schematic.extension_repository
  extension_version = local.schematic.extension_version
  engine            = get_env("TG_CONTAINER_ENGINE", "docker")
}
