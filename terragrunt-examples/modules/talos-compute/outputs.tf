output "talos_version" {
  description = "Version of Talos of the boot image."
  value       = try("v${trimprefix(var.talos_version, "v")}", null)
}

output "kubernetes_version" {
  description = "Version of Kubernetes, without v."
  value       = try(trimprefix(var.kubernetes_version, "v"), null)
}

output "talos_image_file_ids" {
  description = "The boot image of new machines, by Proxmox node."
  value       = var.talos_image_file_ids
}

output "nodes" {
  description = "The machines by name."
  value = {
    for name, node in module.plan.nodes : name => {
      role         = node.role
      proxmox_node = proxmox_virtual_environment_vm.node[name].node_name
      vm_id        = proxmox_virtual_environment_vm.node[name].vm_id
      public_ipv6  = node.public_ipv6
      public_ipv4  = node.public_ipv4
    }
  }
}
