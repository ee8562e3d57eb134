variable "cluster_id" {
  description = "Number of the cluster, from which all addresses follow."
  type        = number
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
}

variable "controlplanes" {
  description = "Number of control plane nodes."
  type        = number
}

variable "workers" {
  description = "Number of worker nodes."
  type        = number
}

variable "proxmox_nodes" {
  description = "Proxmox nodes that carry the machines."
  type        = list(string)
}

variable "storage_default" {
  description = "Storage of the machines' disks."
  type        = string
}

variable "network" {
  description = "Bridges and VLANs of the cluster."
  type = object({
    bridge_public = string
    vlan_public   = number
    bridge_mesh   = string
    vlan_mesh     = number
    public_mtu    = number
    mesh_mtu      = number
    use_sdn       = bool
  })
}

variable "node_overrides" {
  description = "What differs for single nodes, by their name."
  type = map(object({
    cores     = optional(number)
    memory_mb = optional(number)
    disk_gb   = optional(number)
    # Name of a resource mapping of the Proxmox cluster: a plain PCI address would need the password of root@pam.
    gpu_passthrough = optional(object({
      mapping = string
      pcie    = optional(bool, true)
    }))
  }))
  default  = {}
  nullable = false
}

variable "gua_prefix" {
  description = "Global unicast prefix of the cluster's network; null for none."
  type        = string
  default     = null
}

variable "talos_image_file_ids" {
  description = "The boot image by Proxmox node, such as resources:iso/talos.iso. On storage of each node's own, the file differs in nothing but is there once for each."
  type        = map(string)
  validation {
    condition     = alltrue([for file_id in values(var.talos_image_file_ids) : file_id != null])
    error_message = "No boot image is known on ${join(", ", [for node, file_id in var.talos_image_file_ids : node if file_id == null])}: add it to nodes in common/proxmox.hcl and apply artifacts/registry, then plan again."
  }
}

variable "talos_version" {
  description = "Version of Talos of the boot image."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes of the cluster."
  type        = string
}

variable "artifact_overrides" {
  description = "What the cluster has set in artifact_overrides."
  type        = map(string)
  default     = {}
}

variable "shared_talos_version" {
  description = "Version of Talos of the shared artifacts, as they were built; null where none is used."
  type        = string
  default     = null
}

variable "started" {
  description = "Whether the machines run."
  type        = bool
  default     = true
}
