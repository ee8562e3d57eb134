# The real provider: it works without a network.

variables {
  cluster_id           = 101
  cluster_name         = "sol"
  controlplanes        = 1
  workers              = 1
  proxmox_nodes        = ["pve01"]
  network              = { public_mtu = 1500, mesh_mtu = 8930, use_sdn = true }
  gua_prefix           = "2001:db8:101::/64"
  installer_image      = "ghcr.io/sulibot/talos-frr-installer:v1.11.5"
  talos_version        = "v1.11.5"
  kubernetes_version   = "v1.31.4"
  shared_talos_version = "v1.11.5"
}

run "the_installer_and_the_addresses_are_those_of_the_plan" {
  assert {
    condition     = yamldecode(output.machine_configurations["solcp01"]).machine.install.image == "ghcr.io/sulibot/talos-frr-installer:v1.11.5"
    error_message = "the installer of the artifacts"
  }
  assert {
    condition = yamldecode(output.machine_configurations["solcp01"]).machine.network.interfaces[0].addresses == [
      "fd00:101::11/64", "10.0.101.11/24", "2001:db8:101::11/64",
    ]
    error_message = "addresses of solcp01"
  }
  assert {
    condition     = yamldecode(output.machine_configurations["solcp01"]).machine.network.interfaces[0].vip.ip == "fd00:101::10"
    error_message = "control planes share an address"
  }
  assert {
    condition     = !can(yamldecode(output.machine_configurations["solwk01"]).machine.network.interfaces[0].vip)
    error_message = "workers do not"
  }
  assert {
    condition     = yamldecode(output.machine_configurations["solwk01"]).machine.kubelet.image == "ghcr.io/siderolabs/kubelet:v1.31.4"
    error_message = "the version of Kubernetes, whatever its spelling"
  }
  assert {
    condition     = length(regexall("kind: ExtensionServiceConfig", output.machine_configurations["solcp01"])) == 0
    error_message = "FRR is not asked for"
  }
  assert {
    condition = [for route in yamldecode(output.machine_configurations["solwk01"]).machine.network.interfaces[0].routes : "${route.network} ${route.gateway} ${try(route.metric, 0)}"] == [
      "::/0 fd00:101::1 0", "0.0.0.0/0 10.0.101.1 0",
    ]
    error_message = "without BGP, the gateways of the public network are the ways out"
  }
}

run "the_upgrade_goes_node_by_node_and_kubernetes_comes_last" {
  command = plan
  variables {
    controlplanes = 3
  }
  assert {
    condition = output.upgrade_commands == [
      "talosctl upgrade --nodes fd00:101::11 --image ghcr.io/sulibot/talos-frr-installer:v1.11.5",
      "talosctl upgrade --nodes fd00:101::12 --image ghcr.io/sulibot/talos-frr-installer:v1.11.5",
      "talosctl upgrade --nodes fd00:101::13 --image ghcr.io/sulibot/talos-frr-installer:v1.11.5",
      "talosctl upgrade --nodes fd00:101::21 --image ghcr.io/sulibot/talos-frr-installer:v1.11.5",
      "talosctl upgrade-k8s --nodes fd00:101::11 --to 1.31.4",
    ]
    error_message = join("\n", output.upgrade_commands)
  }
}

# A plan that made new secrets would not know them, and the condition would be unknown, which fails.
run "an_older_version_keeps_the_secrets" {
  command = plan
  variables {
    installer_image    = "example.org/installer:v1.10.8"
    talos_version      = "v1.10.8"
    artifact_overrides = { installer_image = "example.org/installer:v1.10.8", talos_version = "v1.10.8", kubernetes_version = "1.31.4" }
  }
  assert {
    condition     = length(talos_machine_secrets.this.client_configuration.ca_certificate) > 0
    error_message = "pinning an older version must not make a new cluster"
  }
}

run "frr_speaks_for_the_loopback" {
  variables {
    frr = true
  }
  assert {
    condition     = strcontains(output.machine_configurations["solwk01"], "router bgp 4210101021") && strcontains(output.machine_configurations["solwk01"], "network fd00:255:101::21/128")
    error_message = "ASN and loopback of solwk01"
  }
}

# The extension is the second document of the configuration.
run "frr_is_told_to_learn_the_way_out_and_nothing_else" {
  command = plan
  variables {
    frr = true
  }
  assert {
    condition = [for file in yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[1]).configFiles : file.mountPath] == [
      "/usr/local/etc/frr/frr.conf",
    ]
    error_message = "the file that the extension reads"
  }
  # Unnumbered: the neighbour is whoever answers on the interface, the anycast gateway.
  assert {
    condition = alltrue([
      for line in [
        " neighbor enp6s19 interface remote-as external",
        " neighbor enp6s19 capability extended-nexthop",
        " neighbor enp6s19 description anycast gateway fe80::255:ffff",
        " no bgp default ipv4-unicast",
        " bgp router-id 10.0.101.21",
      ] : contains(split("\n", yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[1]).configFiles[0].content), line)
    ])
    error_message = "one neighbour, whoever answers on the mesh interface"
  }
  assert {
    condition = alltrue([
      for line in [
        "ipv6 prefix-list default6 seq 5 permit ::/0",
        "ip prefix-list default4 seq 5 permit 0.0.0.0/0",
        "route-map defaults permit 10",
        " match ipv6 address prefix-list default6",
        "route-map defaults permit 20",
        " match ip address prefix-list default4",
      ] : contains(split("\n", yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[1]).configFiles[0].content), line)
    ])
    error_message = "both default routes are learned"
  }
  # In both families: in come the default routes, out goes the loopback alone, and of IPv4 nothing.
  assert {
    condition     = length(regexall("neighbor enp6s19 route-map defaults in\n", yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[1]).configFiles[0].content)) == 2
    error_message = "nothing but default routes comes in"
  }
  assert {
    condition = alltrue([
      for line in [
        "ip prefix-list loopbacks4 seq 5 deny any",
        "  neighbor enp6s19 prefix-list loopbacks4 out",
        "ipv6 prefix-list loopbacks6 seq 5 permit fd00:255:101::21/128",
        "  neighbor enp6s19 route-map own out",
      ] : contains(split("\n", yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[1]).configFiles[0].content), line)
    ])
    error_message = "nothing but the loopback goes out"
  }
  # What was learned is nearer than what stands in the configuration: its distance is the first byte, 200.
  assert {
    condition = [for route in yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[0]).machine.network.interfaces[0].routes : "${route.network} ${route.gateway} ${route.metric}"] == [
      "::/0 fd00:101::1 3355443200", "0.0.0.0/0 10.0.101.1 3355443200",
    ]
    error_message = "the gateways of the public network are what remains while no route was learned"
  }
  # Nodes are known by the loopback that BGP carries.
  assert {
    condition     = yamldecode(split("\n---\n", output.machine_configurations["solcp01"])[0]).cluster.etcd.advertisedSubnets == ["fd00:255:101::/64"]
    error_message = "etcd is reached by the loopback"
  }
  assert {
    condition     = yamldecode(split("\n---\n", output.machine_configurations["solwk01"])[0]).machine.kubelet.nodeIP.validSubnets == ["fd00:255:101::/64"]
    error_message = "the kubelet is reached by the loopback"
  }
}

run "another_version_of_the_shared_installer_is_refused" {
  command = plan
  variables {
    installer_talos_version = "v1.12.0"
  }
  expect_failures = [talos_machine_secrets.this]
}
