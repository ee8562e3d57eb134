output "kubeconfig" {
  description = "Configuration file of kubectl."
  value       = talos_cluster_kubeconfig.this.kubeconfig_raw
  sensitive   = true
}

output "first_control_plane" {
  description = "The node on which the cluster began."
  value       = local.first
}

output "cilium_command" {
  description = "What gives the nodes their network: they are not ready before."
  value       = "helm upgrade --install cilium cilium/cilium --version ${var.cilium_version} --namespace kube-system --set ipam.mode=kubernetes --set ipv6.enabled=true --set kubeProxyReplacement=true --set k8sServiceHost=localhost --set k8sServicePort=7445 --set cgroup.autoMount.enabled=false --set cgroup.hostRoot=/sys/fs/cgroup --set securityContext.capabilities.ciliumAgent='{CHOWN,KILL,NET_ADMIN,NET_RAW,IPC_LOCK,SYS_ADMIN,SYS_RESOURCE,DAC_OVERRIDE,FOWNER,SETGID,SETUID}' --set securityContext.capabilities.cleanCiliumState='{NET_ADMIN,SYS_ADMIN,SYS_RESOURCE}'"
}
