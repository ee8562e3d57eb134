# An etcd cluster under the shared CA. A unit sets what differs in inputs of its own.

locals {
  live = dirname(find_in_parent_folders("root.hcl"))
  etcd = read_terragrunt_config("${local.live}/common/etcd.hcl").locals
  ssh  = read_terragrunt_config("${local.live}/common/ssh.hcl").locals
}

terraform {
  source = "${local.live}/../modules//etcd-cluster"
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
      download {
        mirror = ${local.etcd.download_mirror == "" ? "null" : jsonencode(local.etcd.download_mirror)}
      }
    }
  EOF
}

dependency "ca" {
  config_path = "${get_terragrunt_dir()}/../ca"

  # The CA as it will be, but for the fingerprint that nobody knows before it is made.
  mock_outputs = {
    issuer = {
      directory        = "/etc/step-ca"
      name             = "mock-ca"
      nodes            = []
      port             = 9000
      provisioner      = "etcd-provisioner"
      root_fingerprint = "0000000000000000000000000000000000000000000000000000000000000000"
      urls             = ["https://${local.etcd.ca_hosts["1"]}:9000"]
    }
  }
  mock_outputs_allowed_terraform_commands = ["init", "validate", "plan", "destroy"]
}

inputs = {
  name      = basename(get_terragrunt_dir())
  hosts     = local.etcd.hosts
  issuer    = dependency.ca.outputs.issuer
  protected = local.etcd.protected
}
