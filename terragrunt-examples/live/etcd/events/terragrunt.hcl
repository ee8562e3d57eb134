# Events of Kubernetes, which are many and worth little.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "etcd_cluster" {
  path = find_in_parent_folders("common/units/etcd-cluster.hcl")
}

inputs = {
  etcd_version              = "3.6.16"
  client_port               = 2479
  peer_port                 = 2480
  quota_backend_bytes       = 4294967296
  auto_compaction_retention = "1"
}
