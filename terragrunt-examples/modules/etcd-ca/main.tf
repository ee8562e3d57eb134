terraform {
  required_version = ">= 1.11"
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

variable "name" {
  description = "Name of the CA."
  type        = string
}

variable "hosts" {
  description = "The CA's hosts by node key."
  type        = map(string)
}

variable "active_node" {
  description = "Key of the node that signs."
  type        = string
  default     = "1"
}

variable "protected" {
  description = "Set to false, apply, and only then destroy."
  type        = bool
  default     = true
}

resource "etcd_step_ca" "this" {
  name                = var.name
  nodes               = { for key, host in var.hosts : key => { host = host } }
  active_node         = var.active_node
  deletion_protection = var.protected
  delete_data         = !var.protected

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "CA ${self.name}: ${self.status}"
    }
  }
}

output "issuer" {
  description = "What clusters are given as their issuer."
  value       = etcd_step_ca.this.issuer
}

output "root_certificate" {
  description = "The root certificate, in PEM."
  value       = etcd_step_ca.this.root_certificate
}
