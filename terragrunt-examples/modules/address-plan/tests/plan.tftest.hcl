variables {
  cluster_id    = 101
  cluster_name  = "sol"
  proxmox_nodes = ["pve01", "pve02", "pve03"]
}

run "everything_follows_from_the_number_101" {
  command = plan

  assert {
    condition     = output.network.public_ipv6 == "fd00:101::/64"
    error_message = "public IPv6: ${output.network.public_ipv6}"
  }
  assert {
    condition     = output.network.public_ipv4 == "10.0.101.0/24"
    error_message = "public IPv4: ${output.network.public_ipv4}"
  }
  assert {
    condition     = output.network.control_plane_vip == "fd00:101::10"
    error_message = "VIP: ${output.network.control_plane_vip}"
  }
  assert {
    condition     = output.network.vnet == "vnet101"
    error_message = "VNet: ${output.network.vnet}"
  }
  assert {
    condition     = output.nodes["solcp01"].asn == 4210101011 && output.nodes["solwk01"].asn == 4210101021
    error_message = "ASNs: ${jsonencode(output.bgp.asns)}"
  }
  assert {
    condition     = output.nodes["solcp01"].loopback == "fd00:255:101::11"
    error_message = "loopback: ${output.nodes["solcp01"].loopback}"
  }
  assert {
    condition     = output.bgp.gateway == "fe80::255:ffff" && output.bgp.default_routes == ["::/0", "0.0.0.0/0"]
    error_message = "BGP: ${jsonencode(output.bgp)}"
  }
  assert {
    condition     = output.endpoint == "https://[fd00:101::10]:6443"
    error_message = "endpoint: ${output.endpoint}"
  }
}

run "another_number_gives_another_plan" {
  command = plan
  variables {
    cluster_id   = 102
    cluster_name = "luna"
  }

  assert {
    condition     = output.network.public_ipv4 == "10.0.102.0/24" && output.network.vnet == "vnet102"
    error_message = jsonencode(output.network)
  }
  assert {
    condition     = output.nodes["lunacp01"].asn == 4210102011 && output.nodes["lunacp01"].public_ipv6 == "fd00:102::11"
    error_message = jsonencode(output.nodes["lunacp01"])
  }
}

run "nodes_are_laid_out_in_turn" {
  command = plan

  assert {
    condition = [for name in ["solcp01", "solcp02", "solcp03", "solwk01"] : output.nodes[name].proxmox_node] == [
      "pve01", "pve02", "pve03", "pve01",
    ]
    error_message = jsonencode({ for name, node in output.nodes : name => node.proxmox_node })
  }
}

run "nothing_is_given_out_twice" {
  command = plan
  variables {
    controlplanes = 7
    workers       = 79
  }

  assert {
    condition = alltrue([
      for key in ["public_ipv6", "public_ipv4", "loopback", "asn", "public_mac", "mesh_mac", "vm_id"] :
      length(distinct([for node in output.nodes : node[key]])) == 86
    ])
    error_message = "two nodes share an address"
  }
  assert {
    condition     = !contains([for node in output.nodes : node.public_ipv6], output.network.control_plane_vip)
    error_message = "a node has the address of the control plane"
  }
}

run "a_prefix_gives_global_addresses" {
  command = plan
  variables {
    gua_prefix = "2001:db8:101::/64"
  }

  assert {
    condition     = output.nodes["solcp01"].global_ipv6 == "2001:db8:101::11"
    error_message = coalesce(output.nodes["solcp01"].global_ipv6, "null")
  }
}

run "a_number_that_is_no_octet_is_refused" {
  command = plan
  variables {
    cluster_id = 255
  }
  expect_failures = [var.cluster_id]
}

run "an_even_number_of_control_planes_is_refused" {
  command = plan
  variables {
    controlplanes = 2
  }
  expect_failures = [var.controlplanes]
}

run "a_prefix_of_another_length_is_refused" {
  command = plan
  variables {
    gua_prefix = "2001:db8::/48"
  }
  expect_failures = [var.gua_prefix]
}
