# Brings Kubernetes up on the machines of a cluster.

locals {
  live      = dirname(find_in_parent_folders("root.hcl"))
  versions  = read_terragrunt_config("${local.live}/common/versions.hcl").locals
  cluster   = read_terragrunt_config(find_in_parent_folders("cluster.hcl")).locals
  clusters  = read_terragrunt_config("${local.live}/common/clusters.hcl").locals
  collision = lookup(local.clusters.collision_of, basename(dirname(find_in_parent_folders("cluster.hcl"))), "")

  # Names as they will be, so that a plan before the machines says what there will be.
  mock_nodes = merge(
    { for i in range(local.cluster.controlplanes) : format("%scp%02d", local.cluster.cluster_name, i + 1) => { role = "controlplane", address = "mock-address" } },
    { for i in range(local.cluster.workers) : format("%swk%02d", local.cluster.cluster_name, i + 1) => { role = "worker", address = "mock-address" } },
  )
}

terraform {
  source = "${local.live}/../modules//talos-bootstrap"

  before_hook "collision" {
    commands = ["plan", "apply"]
    execute  = ["sh", "-c", "echo \"$0\" >&2; exit 1", local.collision]
    if       = local.collision != ""
  }
}

dependency "config" {
  config_path = "${get_terragrunt_dir()}/../config"

  mock_outputs = {
    nodes                  = local.mock_nodes
    machine_configurations = { for name, node in local.mock_nodes : name => "version: v1alpha1\nmachine:\n  type: ${node.role}\ncluster: {}\n" }
    client_configuration   = { ca_certificate = "mock-ca", client_certificate = "mock-certificate", client_key = "mock-key" }
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan", "destroy"]
}

inputs = {
  cluster_name           = local.cluster.cluster_name
  cilium_version         = local.versions.cilium_version
  nodes                  = dependency.config.outputs.nodes
  machine_configurations = dependency.config.outputs.machine_configurations
  client_configuration   = dependency.config.outputs.client_configuration
}
