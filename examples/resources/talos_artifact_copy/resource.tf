# Makes the image, whether Proxmox is up or not.
resource "talos_artifact" "this" {
  provider            = etcd
  talos_version       = "v1.11.5"
  extensions          = ["siderolabs/qemu-guest-agent"]
  artifact_repository = "ghcr.io/acme/talos-images"
}

# Brings it to the storages. In another unit, `source` is what the first one gave out.
resource "talos_artifact_copy" "pve" {
  provider = etcd
  source   = talos_artifact.this.image

  proxmox {
    storage = "resources"
    nodes   = ["pve01", "pve02", "pve03"]
  }
}
