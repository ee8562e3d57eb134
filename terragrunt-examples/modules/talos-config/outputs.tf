output "machine_configurations" {
  description = "Machine configuration of each node, by its name."
  value       = { for name, configuration in data.talos_machine_configuration.node : name => configuration.machine_configuration }
  sensitive   = true
}

output "client_configuration" {
  description = "Certificates with which Talos is spoken to."
  value       = talos_machine_secrets.this.client_configuration
  sensitive   = true
}

output "talosconfig" {
  description = "Configuration file of talosctl."
  value       = data.talos_client_configuration.this.talos_config
  sensitive   = true
}

output "nodes" {
  description = "Role and address of each node, by its name."
  value       = { for name, node in module.plan.nodes : name => { role = node.role, address = node.public_ipv6 } }
}

output "endpoint" {
  description = "URL of the Kubernetes API."
  value       = module.plan.endpoint
}

output "installer_image" {
  description = "Image that installs and upgrades Talos."
  value       = var.installer_image
}

output "talos_version" {
  description = "Version of Talos."
  value       = local.talos_version
}

output "kubernetes_version" {
  description = "Version of Kubernetes, without v."
  value       = local.kubernetes_version
}

output "upgrade_commands" {
  description = "What brings the nodes to this version, one after the other, before they are given these configurations: an apply alone never upgrades Talos, and brings another Kubernetes to all nodes at once."
  value = concat(
    [for name, node in module.plan.nodes : "talosctl upgrade --nodes ${node.public_ipv6} --image ${var.installer_image}"],
    ["talosctl upgrade-k8s --nodes ${[for node in module.plan.nodes : node.public_ipv6 if node.role == "controlplane"][0]} --to ${coalesce(local.kubernetes_version, "?")}"],
  )
}
