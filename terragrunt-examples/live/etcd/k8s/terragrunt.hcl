# For the API servers of Kubernetes: see the output apiserver_flags.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "etcd_cluster" {
  path = find_in_parent_folders("common/units/etcd-cluster.hcl")
}

inputs = {
  etcd_version = "3.5.35"
  client_port  = 2379
  peer_port    = 2380
}
