module "plan" {
  source        = "../address-plan"
  cluster_id    = var.cluster_id
  cluster_name  = var.cluster_name
  controlplanes = var.controlplanes
  workers       = var.workers
  proxmox_nodes = var.proxmox_nodes
  gua_prefix    = var.gua_prefix
}

module "overrides" {
  source               = "../artifact-overrides"
  overrides            = var.artifact_overrides
  shared_talos_version = var.shared_talos_version
}

module "no_mocks" {
  source = "../no-mocks"
  values = values(var.talos_image_file_ids)
}

locals {
  sizes = {
    controlplane = { cores = 4, memory_mb = 8192, disk_gb = 40 }
    worker       = { cores = 4, memory_mb = 16384, disk_gb = 100 }
  }
  without_override = { cores = null, memory_mb = null, disk_gb = null, gpu_passthrough = null }
  unknown_nodes    = setsubtract(keys(var.node_overrides), keys(module.plan.nodes))
}

resource "proxmox_virtual_environment_vm" "node" {
  for_each = module.plan.nodes

  name        = each.key
  description = "Talos ${each.value.role} of cluster ${var.cluster_name} (${var.cluster_id})"
  # Proxmox sorts them.
  tags      = sort(["talos", "cluster-${var.cluster_id}", each.value.role])
  node_name = each.value.proxmox_node
  vm_id     = each.value.vm_id

  machine = "q35"
  bios    = "ovmf"
  # Not virtio-scsi-single, with which the first start of a cluster was seen to hang.
  scsi_hardware   = "virtio-scsi-pci"
  started         = var.started
  stop_on_destroy = true

  # The disk first: after the installation the machine never boots from the image again.
  boot_order = ["scsi0", "ide0"]

  operating_system {
    type = "l26"
  }

  # The image has the extension qemu-guest-agent; without it, the provider would wait in vain.
  agent {
    enabled = true
  }

  cpu {
    cores = coalesce(lookup(var.node_overrides, each.key, local.without_override).cores, local.sizes[each.value.role].cores)
    type  = "host"
  }

  memory {
    dedicated = coalesce(lookup(var.node_overrides, each.key, local.without_override).memory_mb, local.sizes[each.value.role].memory_mb)
  }

  efi_disk {
    datastore_id = var.storage_default
    file_format  = "raw"
    type         = "4m"
  }

  disk {
    interface    = "scsi0"
    datastore_id = var.storage_default
    file_format  = "raw"
    size         = coalesce(lookup(var.node_overrides, each.key, local.without_override).disk_gb, local.sizes[each.value.role].disk_gb)
    discard      = "on"
    ssd          = true
  }

  # A q35 machine has ide0 and ide2 only; the second is for the initialization below.
  cdrom {
    interface = "ide0"
    file_id   = var.talos_image_file_ids[each.value.proxmox_node]
  }

  network_device {
    bridge      = var.network.bridge_public
    vlan_id     = var.network.vlan_public
    mtu         = var.network.public_mtu
    mac_address = upper(each.value.public_mac)
  }

  dynamic "network_device" {
    for_each = var.network.use_sdn ? [true] : []
    content {
      bridge      = var.network.bridge_mesh
      vlan_id     = var.network.vlan_mesh
      mtu         = var.network.mesh_mtu
      mac_address = upper(each.value.mesh_mac)
    }
  }

  # The addresses at which the machine is reached before it has its configuration.
  initialization {
    datastore_id = var.storage_default
    interface    = "ide2"
    ip_config {
      ipv4 {
        address = "${each.value.public_ipv4}/24"
        gateway = module.plan.network.public_ipv4_gateway
      }
      ipv6 {
        address = "${each.value.public_ipv6}/64"
        gateway = module.plan.network.public_ipv6_gateway
      }
    }
  }

  dynamic "hostpci" {
    for_each = lookup(var.node_overrides, each.key, local.without_override).gpu_passthrough[*]
    content {
      device  = "hostpci0"
      mapping = hostpci.value.mapping
      pcie    = hostpci.value.pcie
    }
  }

  lifecycle {
    # A new image is for new machines: those that run are upgraded in place and keep the name of the image of their first boot.
    # New machines are laid out on all Proxmox nodes in turn; one that runs stays where it is, whatever becomes of that
    # list, because another node would mean another machine. It moves by a migration of Proxmox.
    ignore_changes = [cdrom[0].file_id, node_name]

    precondition {
      condition     = length(local.unknown_nodes) == 0
      error_message = "node_overrides names nodes that the cluster has not: ${join(", ", local.unknown_nodes)}. It has ${join(", ", keys(module.plan.nodes))}."
    }
  }

  depends_on = [module.no_mocks, module.overrides]
}
