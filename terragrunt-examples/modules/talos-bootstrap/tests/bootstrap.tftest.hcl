mock_provider "talos" {}

variables {
  cluster_name   = "sol"
  cilium_version = "1.18.4"
  nodes = {
    solcp01 = { role = "controlplane", address = "fd00:101::11" }
    solcp02 = { role = "controlplane", address = "fd00:101::12" }
    solwk01 = { role = "worker", address = "fd00:101::21" }
  }
  machine_configurations = { solcp01 = "a", solcp02 = "b", solwk01 = "c" }
  client_configuration   = { ca_certificate = "ca", client_certificate = "certificate", client_key = "key" }
}

run "every_node_is_configured_and_one_begins" {
  assert {
    condition     = [for name, apply in talos_machine_configuration_apply.node : apply.node] == ["fd00:101::11", "fd00:101::12", "fd00:101::21"]
    error_message = "each node at its own address"
  }
  assert {
    condition     = talos_machine_bootstrap.this.node == "fd00:101::11" && output.first_control_plane == "solcp01"
    error_message = "the first control plane begins"
  }
  assert {
    condition     = strcontains(output.cilium_command, " --version 1.18.4 ")
    error_message = output.cilium_command
  }
}
