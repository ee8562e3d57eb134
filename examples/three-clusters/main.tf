# Three clusters of different versions, ports and tuning on the same three hosts, one CA for all.
# Adding a cluster is adding one entry to `clusters`.

terraform {
  required_version = ">= 1.11"
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

variable "hosts" {
  description = "IP addresses of the three hosts."
  type        = list(string)
}

variable "ssh" {
  description = "How to log in to the hosts."
  type = object({
    user             = optional(string, "root")
    private_key_file = optional(string, "~/.ssh/id_ed25519")
    known_hosts_file = optional(string, "~/.ssh/known_hosts")
  })
  default = {}
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

variable "clusters" {
  description = "The clusters by name."
  type = map(object({
    version               = string
    client_port           = number
    peer_port             = number
    heartbeat_interval_ms = optional(number)
    election_timeout_ms   = optional(number)
    quota_backend_bytes   = optional(number)
    extra_options         = optional(map(string))
  }))
  default = {
    k8s    = { version = "3.5.35", client_port = 2379, peer_port = 2380 }
    events = { version = "3.6.16", client_port = 2479, peer_port = 2480, quota_backend_bytes = 4294967296 }
    config = {
      version               = "3.7.3"
      client_port           = 2579
      peer_port             = 2580
      heartbeat_interval_ms = 100
      election_timeout_ms   = 1000
      extra_options         = { max-request-bytes = "3145728" }
    }
  }
}

provider "etcd" {
  ssh {
    user             = var.ssh.user
    private_key_file = var.ssh.private_key_file
    known_hosts_file = var.ssh.known_hosts_file
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

resource "etcd_cluster" "this" {
  for_each = var.clusters

  name                  = each.key
  version               = each.value.version
  issuer                = etcd_step_ca.main.issuer
  nodes                 = local.nodes
  client_port           = each.value.client_port
  peer_port             = each.value.peer_port
  heartbeat_interval_ms = each.value.heartbeat_interval_ms
  election_timeout_ms   = each.value.election_timeout_ms
  quota_backend_bytes   = each.value.quota_backend_bytes
  extra_options         = each.value.extra_options
  deletion_protection   = var.protected
  delete_data           = !var.protected

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "etcd cluster ${self.name}: ${self.status}"
    }
  }
}

output "endpoints" {
  value = { for name, cluster in etcd_cluster.this : name => cluster.endpoints }
}
