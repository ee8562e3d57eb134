run "a_vnet_for_each_cluster" {
  variables {
    cluster_ids = [100, 101, 102, 103]
    controller  = "evpn"
    mtu         = 8930
  }
  assert {
    condition     = values(output.vnets) == ["vnet100", "vnet101", "vnet102", "vnet103"]
    error_message = join(", ", values(output.vnets))
  }
  assert {
    condition     = length(output.commands) == 6
    error_message = join("\n", output.commands)
  }
}
