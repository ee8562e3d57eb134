# The name does not begin with "etcd_", so the provider has to be named.
resource "talos_artifact" "this" {
  provider           = etcd
  talos_version      = "v1.11.5"
  kubernetes_version = "1.31.4"
  extensions = [
    "siderolabs/intel-ucode",
    "siderolabs/qemu-guest-agent",
  ]
  kernel_args = ["net.ifnames=0"]

  # Once if the storage is shared, once for each node if not.
  proxmox {
    storage = "resources"
    nodes   = ["pve01", "pve02", "pve03"]
  }

  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "The image is not everywhere: ${self.status}"
    }
  }
}

# What the virtual machines and the machine configurations need.
output "talos_image_file_ids" {
  value = talos_artifact.this.talos_image_file_ids
}

output "installer_image" {
  value = talos_artifact.this.installer_image
}

# The same with an extension that no factory knows: the imager runs in a container on a host of yours.
resource "talos_artifact" "frr" {
  provider      = etcd
  talos_version = "v1.11.5"
  mode          = "imager"

  # A private one as a directory of the build host in the OCI image layout: "oci:/srv/images/talos-frr-extension-v1.0.18".
  extension_images = ["ghcr.io/sulibot/talos-frr-extension:v1.0.18"]

  builder {
    host = "10.0.0.5" # with podman or docker, reached by SSH
  }

  # Where the image lasts: nobody builds it again, whichever machine runs this.
  artifact_repository = "ghcr.io/example/talos-frr-images"

  installer {
    repository = "ghcr.io/example/talos-frr-installer"
    platform   = "metal"
  }

  proxmox {
    storage = "resources"
    nodes   = ["pve01", "pve02", "pve03"]
  }
}
