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
