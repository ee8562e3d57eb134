module "no_mocks" {
  source = "../no-mocks"
  values = var.custom_extensions
}

resource "talos_artifact" "this" {
  provider = etcd

  talos_version      = var.talos_version
  kubernetes_version = var.kubernetes_version
  platform           = var.platform
  architecture       = var.architecture
  mode               = var.mode
  factory_url        = var.mode == "factory" ? var.factory_url : null

  # ghcr.io/siderolabs/crun:1.24@sha256:… is siderolabs/crun for a factory. Order is kept: it is part of the id.
  extensions       = var.mode == "factory" ? [for image in var.system_extensions : regex("^[^/]+/(siderolabs/[a-z0-9-]+):", image)[0]] : null
  extension_images = var.mode == "imager" ? concat(var.system_extensions, var.custom_extensions) : null
  kernel_args      = var.kernel_args

  image_format        = "iso"
  file_name           = var.iso_name
  artifact_repository = var.artifact_repository

  dynamic "builder" {
    for_each = var.mode == "imager" ? [var.builder] : []
    content {
      host        = builder.value.host
      user        = builder.value.user
      ssh_profile = builder.value.ssh_profile
      host_key    = builder.value.host_key
      engine      = builder.value.engine
    }
  }

  dynamic "installer" {
    for_each = var.installer[*]
    content {
      repository = installer.value.repository
      tag        = installer.value.tag
      platform   = installer.value.platform
    }
  }

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "Talos images: ${self.status}"
    }
  }

  depends_on = [module.no_mocks]
}
