terraform {
  required_version = ">= 1.11"
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

variable "image" {
  description = "The boot image that another unit has built."
  type = object({
    artifact_id            = string
    talos_version          = string
    kubernetes_version     = optional(string)
    platform               = string
    architecture           = string
    format                 = string
    file_name              = string
    url                    = optional(string)
    oci                    = optional(string)
    path                   = optional(string)
    sha256                 = optional(string)
    size_bytes             = optional(number)
    installer_image        = optional(string)
    installer_image_digest = optional(string)
  })
}

variable "storage" {
  description = "Proxmox storage for boot images; it must take the content iso."
  type        = string
}

variable "proxmox_nodes" {
  description = "Proxmox nodes that must see the image. On shared storage it is sent once."
  type        = list(string)
}

module "no_mocks" {
  source = "../no-mocks"
  values = [var.image.artifact_id, var.image.file_name]
}

resource "talos_artifact_copy" "proxmox" {
  provider = etcd

  source = var.image

  # The default, said aloud: machines go on naming the image of their first boot, and do not start without it. Set it to
  # false for one apply when none names an old one any more.
  keep_previous = true

  proxmox {
    storage = var.storage
    nodes   = var.proxmox_nodes
  }

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "Talos image on Proxmox: ${self.status}"
    }
  }

  depends_on = [module.no_mocks]
}

output "talos_image_file_ids" {
  description = "The image by Proxmox node, as a machine's cdrom.file_id says it."
  value       = talos_artifact_copy.proxmox.talos_image_file_ids
}

output "talos_image_file_name" {
  description = "Name of the image on the storage."
  value       = talos_artifact_copy.proxmox.talos_image_file_name
}

output "talos_image_id" {
  description = "Id of the schematic, or of the build."
  value       = talos_artifact_copy.proxmox.talos_image_id
}

output "talos_version" {
  description = "Version of Talos."
  value       = talos_artifact_copy.proxmox.talos_version
}

output "kubernetes_version" {
  description = "Version of Kubernetes, without v."
  value       = talos_artifact_copy.proxmox.kubernetes_version
}
