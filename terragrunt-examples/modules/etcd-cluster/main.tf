terraform {
  required_version = ">= 1.11"
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

module "no_mocks" {
  source = "../no-mocks"
  values = [var.issuer.name]
}

resource "etcd_cluster" "this" {
  name                      = var.name
  version                   = var.etcd_version
  issuer                    = var.issuer
  nodes                     = { for key, host in var.hosts : key => { host = host } }
  client_port               = var.client_port
  peer_port                 = var.peer_port
  heartbeat_interval_ms     = var.heartbeat_interval_ms
  election_timeout_ms       = var.election_timeout_ms
  quota_backend_bytes       = var.quota_backend_bytes
  auto_compaction_retention = var.auto_compaction_retention
  extra_options             = var.extra_options
  deletion_protection       = var.protected
  delete_data               = !var.protected

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "etcd cluster ${self.name}: ${self.status}"
    }
  }

  depends_on = [module.no_mocks]
}
