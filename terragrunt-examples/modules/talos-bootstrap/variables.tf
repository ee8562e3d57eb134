variable "nodes" {
  description = "Role and address of each node, by its name."
  type        = map(object({ role = string, address = string }))
}

variable "machine_configurations" {
  description = "Machine configuration of each node, by its name."
  type        = map(string)
  sensitive   = true
}

variable "client_configuration" {
  description = "Certificates with which Talos is spoken to."
  type        = object({ ca_certificate = string, client_certificate = string, client_key = string })
  sensitive   = true
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
}

variable "cilium_version" {
  description = "Version of Cilium that the cluster is meant to run."
  type        = string
}
