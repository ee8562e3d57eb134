terraform {
  required_version = ">= 1.11"
}

variable "overrides" {
  description = "What a cluster sets in artifact_overrides; null counts as absent."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.overrides), ["installer_image", "iso_file_id", "talos_version", "kubernetes_version"])) == 0
    error_message = "artifact_overrides has unknown keys: ${join(", ", setsubtract(keys(var.overrides), ["installer_image", "iso_file_id", "talos_version", "kubernetes_version"]))}. Known are installer_image, iso_file_id, talos_version and kubernetes_version."
  }

  validation {
    condition = (
      lookup(var.overrides, "installer_image", null) == null && lookup(var.overrides, "iso_file_id", null) == null
      ) || (
      lookup(var.overrides, "talos_version", null) != null && lookup(var.overrides, "kubernetes_version", null) != null
    )
    error_message = "artifact_overrides names an image of its own without its versions: with installer_image or iso_file_id, set talos_version and kubernetes_version too, because the shared versions need not be those of that image."
  }

  validation {
    condition = (
      lookup(var.overrides, "installer_image", null) != null
      || var.shared_talos_version == null
      || lookup(var.overrides, "talos_version", null) == null
      || trimprefix(coalesce(lookup(var.overrides, "talos_version", null), "-"), "v") == trimprefix(coalesce(var.shared_talos_version, "-"), "v")
    )
    error_message = "artifact_overrides sets talos_version to ${coalesce(lookup(var.overrides, "talos_version", null), "null")} and no installer_image, so the shared installer would install ${coalesce(var.shared_talos_version, "another one")}: set installer_image too, or leave talos_version out."
  }

  validation {
    condition     = alltrue([for value in values(var.overrides) : value != ""])
    error_message = "artifact_overrides has an empty text: leave the key out, or set it to null, to use the shared artifact."
  }
}

variable "shared_talos_version" {
  description = "Version of Talos that the shared installer installs, as it was built; null where the unit does not use it."
  type        = string
  default     = null
}

output "has_own_iso" {
  description = "Whether the cluster boots an image of its own."
  value       = lookup(var.overrides, "iso_file_id", null) != null
}

output "has_own_installer" {
  description = "Whether the cluster installs an image of its own."
  value       = lookup(var.overrides, "installer_image", null) != null
}
