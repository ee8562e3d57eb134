locals {
  # Names sort as they are numbered: the first control plane is the one that begins.
  first = sort([for name, node in var.nodes : name if node.role == "controlplane"])[0]
}

module "no_mocks" {
  source = "../no-mocks"
  values = [for name, node in var.nodes : node.address]
}

# A node's own address, never the one that the control plane shares: that one is not there before the bootstrap.
resource "talos_machine_configuration_apply" "node" {
  for_each = var.nodes

  client_configuration        = var.client_configuration
  machine_configuration_input = var.machine_configurations[each.key]
  node                        = each.value.address
  endpoint                    = each.value.address

  depends_on = [module.no_mocks]
}

resource "talos_machine_bootstrap" "this" {
  client_configuration = var.client_configuration
  node                 = var.nodes[local.first].address
  endpoint             = var.nodes[local.first].address

  depends_on = [talos_machine_configuration_apply.node]
}

resource "talos_cluster_kubeconfig" "this" {
  client_configuration = var.client_configuration
  node                 = var.nodes[local.first].address
  endpoint             = var.nodes[local.first].address

  depends_on = [talos_machine_bootstrap.this]
}
