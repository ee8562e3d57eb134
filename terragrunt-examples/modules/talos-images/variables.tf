variable "talos_version" {
  description = "Version of Talos."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes that the clusters run; it is passed on, the image does not contain it."
  type        = string
}

variable "platform" {
  description = "Platform of the boot image."
  type        = string
}

variable "architecture" {
  description = "Architecture of the machines."
  type        = string
}

variable "mode" {
  description = "factory: an Image Factory puts official extensions together. imager: the imager runs on a build host, and takes extensions of anybody's."
  type        = string
  default     = "factory"
  validation {
    condition     = contains(["factory", "imager"], var.mode)
    error_message = "mode is \"${var.mode}\": it must be factory or imager."
  }
}

variable "factory_url" {
  description = "Image Factory; null for the public one."
  type        = string
  default     = null
}

variable "system_extensions" {
  description = "Official extensions, each pinned by tag and digest. A factory is given their names, and chooses those of the version of Talos; the imager is given the images."
  type        = list(string)
  validation {
    condition     = alltrue([for image in var.system_extensions : can(regex("^[^/]+/siderolabs/[a-z0-9-]+:[^@:]+@sha256:[0-9a-f]{64}$", image))])
    error_message = "system_extensions must be official ones pinned by tag and digest, such as ghcr.io/siderolabs/crun:1.24@sha256:…; not so: ${join(", ", [for image in var.system_extensions : image if !can(regex("^[^/]+/siderolabs/[a-z0-9-]+:[^@:]+@sha256:[0-9a-f]{64}$", image))])}"
  }
}

variable "custom_extensions" {
  description = "Images of extensions of anybody's, for the imager."
  type        = list(string)
  default     = []
  validation {
    condition     = var.mode == "imager" || length(var.custom_extensions) == 0
    error_message = "custom_extensions are set, and mode is factory: a factory takes official extensions only. Use mode imager."
  }
}

variable "kernel_args" {
  description = "Kernel arguments."
  type        = list(string)
  default     = []
}

variable "iso_name" {
  description = "Name of the boot image; null for one that carries a short id of the content."
  type        = string
  default     = null
}

variable "builder" {
  description = "Where the imager runs: a host with docker or podman, reached by SSH."
  type = object({
    host        = string
    user        = optional(string)
    ssh_profile = optional(string)
    host_key    = optional(string)
    engine      = optional(string)
  })
  default = null
  validation {
    condition     = var.mode != "imager" || try(var.builder.host, "") != ""
    error_message = "mode is imager and there is no builder: name a host with docker or podman, in TALOS_BUILD_HOST."
  }
}

variable "installer" {
  description = "Repository that the installer is pushed to. null in mode factory: the factory's own is used."
  type = object({
    repository = string
    tag        = optional(string)
    platform   = optional(string, "metal")
  })
  default = null
  validation {
    condition     = var.mode != "imager" || var.installer != null
    error_message = "mode is imager and there is no installer: name the repository that it is pushed to."
  }
}

variable "artifact_repository" {
  description = "Repository that keeps the boot image by digest, so that nobody builds it again; null for none. Wanted in mode imager, where two builds never give the same bytes."
  type        = string
  default     = null
}
