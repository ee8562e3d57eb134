# bpg/proxmox 0.80.0 has no resource for the SDN: zones came with 0.81, VNets with 0.84. The VNets are therefore made by hand, once, with
# the commands of the output, and the clusters use them by the names of their bridges.

terraform {
  required_version = ">= 1.11"
}

variable "cluster_ids" {
  description = "Numbers of the clusters: each has a VNet of its own, vnet<number>."
  type        = set(number)
}

variable "zone" {
  description = "Name of the EVPN zone."
  type        = string
  default     = "talos"
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,7}$", var.zone))
    error_message = "zone is \"${var.zone}\": Proxmox takes 2 to 8 lower-case letters and digits, beginning with a letter."
  }
}

variable "controller" {
  description = "Name of the EVPN controller of the zone."
  type        = string
}

variable "vrf_vxlan" {
  description = "VXLAN number of the zone's routing."
  type        = number
  default     = 4000
}

variable "mtu" {
  description = "MTU of the VNets."
  type        = number
}

locals {
  vnets = { for id in var.cluster_ids : tostring(id) => "vnet${id}" }
}

output "vnets" {
  description = "Bridge of each cluster, by its number."
  value       = local.vnets
}

output "commands" {
  description = "What makes them, as root on one Proxmox node."
  value = concat(
    ["pvesh create /cluster/sdn/zones --type evpn --zone ${var.zone} --controller ${var.controller} --vrf-vxlan ${var.vrf_vxlan} --mtu ${var.mtu}"],
    [for id, vnet in local.vnets : "pvesh create /cluster/sdn/vnets --vnet ${vnet} --zone ${var.zone} --tag ${10000 + tonumber(id)}"],
    ["pvesh set /cluster/sdn"],
  )
}
