# Builds and pushes a Talos extension with FRR. Optional: who takes the published image needs no build, and clusters work without BGP.

terraform {
  required_version = ">= 1.11"
}

variable "repository" {
  description = "Repository that the extension is pushed to."
  type        = string
}

variable "extension_version" {
  description = "Version of the extension. Its tag carries a short id of the content too, such as v1.0.18-1a2b3c4d."
  type        = string
}

variable "frr_image" {
  description = "Image that FRR is taken from."
  type        = string
  default     = "quay.io/frrouting/frr:10.4.1"
}

variable "engine" {
  description = "Container engine on this machine: docker or podman."
  type        = string
  default     = "docker"
  validation {
    condition     = contains(["docker", "podman"], var.engine)
    error_message = "engine is \"${var.engine}\": it must be docker or podman."
  }
}

locals {
  context = "${path.module}/context"
  files   = sort(fileset(local.context, "**"))
  content = sha256(jsonencode([var.frr_image, { for file in local.files : file => filesha256("${local.context}/${file}") }]))

  # Other content is another tag: what is pushed is never pushed again under the same one, and images follow.
  reference = "${var.repository}:${var.extension_version}-${substr(local.content, 0, 8)}"
}

resource "terraform_data" "extension" {
  input            = local.reference
  triggers_replace = [local.reference]

  provisioner "local-exec" {
    command = "\"$ENGINE\" build --build-arg VERSION=\"$VERSION\" --build-arg FRR_IMAGE=\"$FRR_IMAGE\" --tag \"$REFERENCE\" \"$CONTEXT\" && \"$ENGINE\" push \"$REFERENCE\""
    environment = {
      ENGINE    = var.engine
      VERSION   = trimprefix(var.extension_version, "v")
      FRR_IMAGE = var.frr_image
      REFERENCE = local.reference
      CONTEXT   = abspath(local.context)
    }
  }
}

output "extension_image" {
  description = "Image of the extension."
  value       = local.reference
  depends_on  = [terraform_data.extension]
}
