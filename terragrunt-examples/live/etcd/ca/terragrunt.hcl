include "root" {
  path = find_in_parent_folders("root.hcl")
}

locals {
  live = dirname(find_in_parent_folders("root.hcl"))
  etcd = read_terragrunt_config("${local.live}/common/etcd.hcl").locals
  ssh  = read_terragrunt_config("${local.live}/common/ssh.hcl").locals
}

terraform {
  source = "${local.live}/../modules//etcd-ca"
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

inputs = {
  name      = "main"
  hosts     = local.etcd.ca_hosts
  protected = local.etcd.protected
}
