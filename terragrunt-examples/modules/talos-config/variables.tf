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

variable "network" {
  description = "Bridges and VLANs of the cluster."
  type = object({
    public_mtu = number
    mesh_mtu   = number
    use_sdn    = bool
  })
}

variable "gua_prefix" {
  description = "Global unicast prefix of the cluster's network; null for none."
  type        = string
  default     = null
}

variable "nameservers" {
  description = "Name servers of the nodes."
  type        = list(string)
  default     = ["2606:4700:4700::1111", "1.1.1.1"]
}

variable "install_disk" {
  description = "Disk that Talos is installed on."
  type        = string
  default     = "/dev/sda"
}

variable "installer_image" {
  description = "Image that installs Talos. Without it, the version of this provider would be installed, whatever talos_version says."
  type        = string
}

variable "installer_talos_version" {
  description = "Version of Talos of the shared installer; null where the cluster has an installer of its own."
  type        = string
  default     = null
}

variable "talos_image_id" {
  description = "Id of the schematic of the shared image; null where the cluster has an image of its own."
  type        = string
  default     = null
}

variable "talos_version" {
  description = "Version of Talos."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes."
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

variable "frr" {
  description = "Speak BGP by the FRR extension: the image must have it."
  type        = bool
  default     = false
}

variable "mesh_interface" {
  description = "Name of the mesh interface in Talos, for FRR: enp6s19 is the second of a q35 machine."
  type        = string
  default     = "enp6s19"
}

variable "config_patches" {
  description = "More patches for all nodes, as YAML."
  type        = list(string)
  default     = []
}
