# A CA and a cluster of three members with TLS, on three hosts that you reach by SSH.
#
#   tofu init
#   tofu apply -var 'hosts=["10.0.1.10","10.0.1.11","10.0.1.12"]'

terraform {
  required_version = ">= 1.11"
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

variable "hosts" {
  description = "IP addresses of three Linux hosts with systemd."
  type        = list(string)
}

variable "ssh_user" {
  description = "User to log in as: root, or one that may use sudo."
  type        = string
  default     = "root"
}

variable "private_key_file" {
  description = "SSH key of that user."
  type        = string
  default     = "~/.ssh/id_ed25519"
}

variable "known_hosts_file" {
  description = "Where the keys of the hosts are written down."
  type        = string
  default     = "~/.ssh/known_hosts"
}

variable "download_mirror" {
  description = "Directory or URL that holds the release archives; null takes them from upstream."
  type        = string
  default     = null
}

variable "protected" {
  description = "Set to false, apply, and only then destroy."
  type        = bool
  default     = true
}

provider "etcd" {
  ssh {
    user             = var.ssh_user
    private_key_file = var.private_key_file
    known_hosts_file = var.known_hosts_file
  }
  download {
    mirror = var.download_mirror
  }
}

locals {
  nodes = { for i, host in var.hosts : tostring(i + 1) => { host = host } }
}

resource "etcd_step_ca" "main" {
  name                = "main"
  nodes               = { "1" = local.nodes["1"] }
  active_node         = "1"
  deletion_protection = var.protected
  delete_data         = !var.protected
}

resource "etcd_cluster" "demo" {
  name                = "demo"
  issuer              = etcd_step_ca.main.issuer
  nodes               = local.nodes
  deletion_protection = var.protected
  delete_data         = !var.protected

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "etcd cluster ${self.name}: ${self.status}"
    }
  }
}

output "endpoints" {
  value = etcd_cluster.demo.endpoints
}

output "members" {
  value = etcd_cluster.demo.members
}

output "client_certificate" {
  value = etcd_cluster.demo.client_certificate
}
