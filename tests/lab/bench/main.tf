# What `cargo lab bench` measures: a CA and a cluster, then a second cluster on the same hosts.

terraform {
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

variable "hosts" {
  type = list(string)
}

variable "private_key_file" {
  type = string
}

variable "known_hosts_file" {
  type = string
}

variable "download_mirror" {
  type = string
}

variable "second" {
  type    = bool
  default = false
}

provider "etcd" {
  ssh {
    user             = "root"
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
  name        = "main"
  nodes       = { "1" = local.nodes["1"] }
  active_node = "1"
}

resource "etcd_cluster" "first" {
  name   = "first"
  issuer = etcd_step_ca.main.issuer
  nodes  = local.nodes

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "etcd cluster ${self.name}: ${self.status}"
    }
  }
}

resource "etcd_cluster" "second" {
  count       = var.second ? 1 : 0
  name        = "second"
  issuer      = etcd_step_ca.main.issuer
  nodes       = local.nodes
  client_port = 2479
  peer_port   = 2480

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "etcd cluster ${self.name}: ${self.status}"
    }
  }
}
