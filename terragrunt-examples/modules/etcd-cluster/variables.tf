variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "issuer" {
  description = "The CA that signs its certificates: output issuer of the CA's unit."
  type = object({
    directory        = string
    name             = string
    nodes            = list(any)
    port             = number
    provisioner      = string
    root_fingerprint = string
    urls             = list(string)
  })
}

variable "hosts" {
  description = "The members' hosts by node key."
  type        = map(string)
}

variable "etcd_version" {
  description = "Version of etcd; null for the newest patch of the default line when the cluster is made."
  type        = string
  default     = null
}

variable "client_port" {
  description = "Port for clients."
  type        = number
  default     = 2379
}

variable "peer_port" {
  description = "Port for the other members."
  type        = number
  default     = 2380
}

variable "heartbeat_interval_ms" {
  description = "Heartbeat interval in milliseconds."
  type        = number
  default     = null
}

variable "election_timeout_ms" {
  description = "Election timeout in milliseconds."
  type        = number
  default     = null
}

variable "quota_backend_bytes" {
  description = "Largest database in bytes."
  type        = number
  default     = null
}

variable "auto_compaction_retention" {
  description = "Hours or a duration of history that is kept."
  type        = string
  default     = null
}

variable "extra_options" {
  description = "More options of etcd by the name of its flag without dashes."
  type        = map(string)
  default     = null
}

variable "protected" {
  description = "Set to false, apply, and only then destroy."
  type        = bool
  default     = true
}
