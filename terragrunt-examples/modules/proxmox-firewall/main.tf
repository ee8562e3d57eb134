terraform {
  required_version = ">= 1.11"
  required_providers {
    proxmox = {
      source  = "bpg/proxmox"
      version = "0.80.0"
    }
  }
}

variable "cluster_ids" {
  description = "Numbers of the clusters."
  type        = set(number)
}

variable "admin_networks" {
  description = "Networks from which the clusters are operated."
  type        = list(string)
  validation {
    condition     = length(var.admin_networks) > 0
    error_message = "admin_networks is empty: nobody could operate the clusters."
  }
}

variable "enabled" {
  description = "Whether the firewall of the Proxmox cluster is on. Look at the rules before you switch it on: it guards the Proxmox nodes too."
  type        = bool
}

# Proxmox lets the management network reach its nodes by itself; all else that comes in is dropped once the firewall is on.
resource "proxmox_virtual_environment_cluster_firewall" "this" {
  enabled       = var.enabled
  input_policy  = "DROP"
  output_policy = "ACCEPT"
}

resource "proxmox_virtual_environment_firewall_ipset" "admin" {
  name    = "talos-admin"
  comment = "From where the Talos clusters are operated"
  dynamic "cidr" {
    for_each = var.admin_networks
    content {
      name = cidr.value
    }
  }
}

resource "proxmox_virtual_environment_firewall_ipset" "cluster" {
  for_each = { for id in var.cluster_ids : tostring(id) => id }

  name    = "talos-${each.key}"
  comment = "Nodes of cluster ${each.key}"
  cidr {
    name = "fd00:${each.key}::/64"
  }
  cidr {
    name = "10.0.${each.key}.0/24"
  }
  cidr {
    name = "fd00:255:${each.key}::/64"
  }
}

resource "proxmox_virtual_environment_cluster_firewall_security_group" "cluster" {
  for_each = proxmox_virtual_environment_firewall_ipset.cluster

  name    = "talos-${each.key}"
  comment = "Talos cluster ${each.key}"

  rule {
    type    = "in"
    action  = "ACCEPT"
    comment = "Nodes among themselves"
    source  = "+${each.value.name}"
  }
  rule {
    type    = "in"
    action  = "ACCEPT"
    comment = "Kubernetes API"
    source  = "+${proxmox_virtual_environment_firewall_ipset.admin.name}"
    proto   = "tcp"
    dport   = "6443"
  }
  rule {
    type    = "in"
    action  = "ACCEPT"
    comment = "Talos API"
    source  = "+${proxmox_virtual_environment_firewall_ipset.admin.name}"
    proto   = "tcp"
    dport   = "50000:50001"
  }
}

output "security_groups" {
  description = "Security group of each cluster, by its number."
  value       = { for id, group in proxmox_virtual_environment_cluster_firewall_security_group.cluster : id => group.name }
}
