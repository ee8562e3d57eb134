variable "cluster_id" {
  description = "Number of the cluster, from which every address follows. Its digits are read as they stand: 101 gives fd00:101::/64."
  type        = number
  validation {
    condition     = var.cluster_id == floor(var.cluster_id) && var.cluster_id >= 1 && var.cluster_id <= 254
    error_message = "cluster_id is ${var.cluster_id}: it must be a whole number from 1 to 254, because it is an octet of 10.0.<cluster_id>.0/24 and 255 is the network of the loopbacks."
  }
}

variable "cluster_name" {
  description = "Name of the cluster, with which the names of its nodes begin."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,15}$", var.cluster_name))
    error_message = "cluster_name is \"${var.cluster_name}\": it must be 1 to 16 lower-case letters and digits, beginning with a letter."
  }
}

variable "controlplanes" {
  description = "Number of control plane nodes: they have the suffixes 11, 12, and so on."
  type        = number
  default     = 3
  validation {
    condition     = contains([1, 3, 5, 7], var.controlplanes)
    error_message = "controlplanes is ${var.controlplanes}: etcd wants 1, 3, 5 or 7 members."
  }
}

variable "workers" {
  description = "Number of worker nodes: they have the suffixes 21, 22, and so on."
  type        = number
  default     = 3
  validation {
    condition     = var.workers == floor(var.workers) && var.workers >= 0 && var.workers <= 79
    error_message = "workers is ${var.workers}: the suffixes 21 to 99 are there for 0 to 79 of them."
  }
}

variable "proxmox_nodes" {
  description = "Proxmox nodes on which new nodes are laid out in turn."
  type        = list(string)
  validation {
    condition     = length(var.proxmox_nodes) > 0
    error_message = "proxmox_nodes is empty: at least one must carry the nodes."
  }
}

variable "gua_prefix" {
  description = "Global unicast prefix of the cluster's network, a /64; null for none."
  type        = string
  default     = null
  validation {
    condition     = var.gua_prefix == null || (can(cidrhost(var.gua_prefix, 0)) && endswith(coalesce(var.gua_prefix, "/64"), "/64"))
    error_message = "gua_prefix is \"${coalesce(var.gua_prefix, "null")}\": it must be an IPv6 prefix of 64 bits, such as 2001:db8:101::/64."
  }
}
