locals {
  id = tostring(var.cluster_id)

  suffixes = merge(
    { for i in range(var.controlplanes) : format("%scp%02d", var.cluster_name, i + 1) => { role = "controlplane", index = i, suffix = 11 + i } },
    { for i in range(var.workers) : format("%swk%02d", var.cluster_name, i + 1) => { role = "worker", index = i, suffix = 21 + i } },
  )

  nodes = {
    for name, node in local.suffixes : name => {
      role         = node.role
      suffix       = node.suffix
      proxmox_node = var.proxmox_nodes[node.index % length(var.proxmox_nodes)]
      # Proxmox wants unique numbers for all machines of its cluster.
      vm_id = var.cluster_id * 1000 + node.suffix

      # Suffixes are read as they stand in IPv6 too: 11 is ::11.
      public_ipv6  = "fd00:${local.id}::${node.suffix}"
      public_ipv4  = "10.0.${local.id}.${node.suffix}"
      global_ipv6  = var.gua_prefix == null ? null : cidrhost(var.gua_prefix, parseint(tostring(node.suffix), 16))
      loopback     = "fd00:255:${local.id}::${node.suffix}"
      asn          = 4210000000 + var.cluster_id * 1000 + node.suffix
      public_mac   = format("02:54:%02x:%02x:00:00", var.cluster_id, node.suffix)
      mesh_mac     = format("02:54:%02x:%02x:00:01", var.cluster_id, node.suffix)
      bgp_neighbor = "fe80::255:ffff"
    }
  }
}
