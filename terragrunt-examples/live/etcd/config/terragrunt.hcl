# Settings of our own services: few writes, quick elections.
include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "etcd_cluster" {
  path = find_in_parent_folders("common/units/etcd-cluster.hcl")
}

inputs = {
  etcd_version          = "3.7.3"
  client_port           = 2579
  peer_port             = 2580
  heartbeat_interval_ms = 100
  election_timeout_ms   = 1000
  extra_options         = { max-request-bytes = "3145728" }
}
