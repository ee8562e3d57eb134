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

run "another_version_of_the_shared_installer_is_refused" {
  command = plan
  variables {
    installer_talos_version = "v1.12.0"
  }
  expect_failures = [talos_machine_secrets.this]
}
