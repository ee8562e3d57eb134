# What `cargo lab bench` measures of images: one of 1 GiB on three storages.

terraform {
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "node_endpoints" {
  type = map(string)
}

variable "fingerprints" {
  type = list(string)
}

variable "api_token" {
  type      = string
  sensitive = true
}

variable "factory" {
  type = string
}

provider "etcd" {
  proxmox {
    endpoint       = var.endpoint
    node_endpoints = var.node_endpoints
    fingerprint    = join(",", var.fingerprints)
    api_token      = var.api_token
  }
  factory {
    url = var.factory
  }
}

resource "talos_artifact" "image" {
  provider      = etcd
  talos_version = "v1.11.5"

  proxmox {
    storage = "local"
    nodes   = keys(var.node_endpoints)
  }
}
