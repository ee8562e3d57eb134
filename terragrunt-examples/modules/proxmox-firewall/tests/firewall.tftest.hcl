mock_provider "proxmox" {}

run "each_cluster_has_a_group_of_its_own" {
  variables {
    cluster_ids    = [101, 102]
    admin_networks = ["10.0.0.0/24", "fd00::/64"]
    enabled        = false
  }
  assert {
    condition     = output.security_groups == { "101" = "talos-101", "102" = "talos-102" }
    error_message = jsonencode(output.security_groups)
  }
  assert {
    condition     = proxmox_virtual_environment_cluster_firewall_security_group.cluster["101"].rule[0].source == "+talos-101"
    error_message = "nodes of 101 reach each other, and those of 102 do not reach them"
  }
}

run "nobody_is_locked_out" {
  command = plan
  variables {
    cluster_ids    = [101]
    admin_networks = []
    enabled        = true
  }
  expect_failures = [var.admin_networks]
}
