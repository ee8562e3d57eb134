mock_provider "proxmox" {}

variables {
  cluster_id      = 101
  cluster_name    = "sol"
  controlplanes   = 3
  workers         = 3
  proxmox_nodes   = ["pve01", "pve02", "pve03"]
  storage_default = "rbd-vm"
  network = {
    bridge_public = "vmbr0"
    vlan_public   = 101
    bridge_mesh   = "vnet101"
    vlan_mesh     = 0
    public_mtu    = 1500
    mesh_mtu      = 8930
    use_sdn       = true
  }
  talos_image_file_ids = { for node in ["pve01", "pve02", "pve03"] : node => "resources:iso/talos.iso" }
  talos_version        = "v1.11.5"
  kubernetes_version   = "v1.31.4"
  shared_talos_version = "v1.11.5"
}

run "each_machine_boots_the_file_of_its_own_node" {
  command = plan
  variables {
    talos_image_file_ids = { pve01 = "one:iso/t.iso", pve02 = "two:iso/t.iso", pve03 = "three:iso/t.iso" }
  }
  assert {
    condition     = proxmox_virtual_environment_vm.node["solcp02"].cdrom[0].file_id == "two:iso/t.iso"
    error_message = "solcp02 is on pve02"
  }
}

run "six_machines_with_addresses_of_the_plan" {
  assert {
    condition     = keys(output.nodes) == ["solcp01", "solcp02", "solcp03", "solwk01", "solwk02", "solwk03"]
    error_message = join(", ", keys(output.nodes))
  }
  assert {
    condition     = proxmox_virtual_environment_vm.node["solcp02"].initialization[0].ip_config[0].ipv6[0].address == "fd00:101::12/64"
    error_message = "the address of solcp02"
  }
  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : vm.cdrom[0].file_id == "resources:iso/talos.iso"])
    error_message = "every machine boots the one image"
  }
  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : vm.network_device[1].bridge == "vnet101" && vm.network_device[1].mtu == 8930])
    error_message = "every machine is in the mesh"
  }
  assert {
    condition     = output.talos_version == "v1.11.5" && output.kubernetes_version == "1.31.4"
    error_message = "versions in their one spelling: ${output.talos_version} ${output.kubernetes_version}"
  }
}

run "one_node_differs" {
  variables {
    node_overrides = { solwk01 = { memory_mb = 65536, gpu_passthrough = { mapping = "gpu" } } }
  }
  assert {
    condition     = proxmox_virtual_environment_vm.node["solwk01"].memory[0].dedicated == 65536 && proxmox_virtual_environment_vm.node["solwk02"].memory[0].dedicated == 16384
    error_message = "only solwk01 is larger"
  }
  assert {
    condition     = proxmox_virtual_environment_vm.node["solwk01"].hostpci[0].mapping == "gpu" && length(proxmox_virtual_environment_vm.node["solwk02"].hostpci) == 0
    error_message = "only solwk01 has the GPU"
  }
}

run "without_sdn_there_is_one_interface" {
  variables {
    network = {
      bridge_public = "vmbr0", vlan_public = 101, bridge_mesh = "vnet101", vlan_mesh = 0, public_mtu = 1500, mesh_mtu = 8930, use_sdn = false
    }
  }
  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : length(vm.network_device) == 1])
    error_message = "no mesh"
  }
}

run "a_new_image_changes_no_machine_that_runs" {
  command = plan
  variables {
    talos_image_file_ids = { for node in ["pve01", "pve02", "pve03"] : node => "resources:iso/newer.iso" }
  }
  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : vm.cdrom[0].file_id != "resources:iso/newer.iso"])
    error_message = "machines that run keep the image of their first boot"
  }
}

run "another_list_of_proxmox_nodes_moves_no_machine_that_runs" {
  command = plan
  variables {
    workers              = 4
    proxmox_nodes        = ["pve02", "pve03", "pve04"]
    talos_image_file_ids = { for node in ["pve02", "pve03", "pve04"] : node => "resources:iso/talos.iso" }
  }
  assert {
    condition     = [for name in ["solcp01", "solcp02", "solcp03", "solwk04"] : proxmox_virtual_environment_vm.node[name].node_name] == ["pve01", "pve02", "pve03", "pve02"]
    error_message = join(", ", [for vm in proxmox_virtual_environment_vm.node : vm.node_name])
  }
}

run "a_proxmox_node_without_the_image_is_refused" {
  command = plan
  variables {
    talos_image_file_ids = { pve01 = "resources:iso/talos.iso", pve02 = "resources:iso/talos.iso", pve03 = null }
  }
  expect_failures = [var.talos_image_file_ids]
}

run "an_override_of_a_node_that_is_not_there_is_refused" {
  command = plan
  variables {
    node_overrides = { solwk09 = { cores = 8 } }
  }
  expect_failures = [proxmox_virtual_environment_vm.node]
}
