mock_provider "etcd" {
  mock_resource "talos_artifact_copy" {
    defaults = {
      status = "ready"
      talos_image_file_ids = {
        pve01 = "resources:iso/talos.iso"
        pve02 = "resources:iso/talos.iso"
      }
    }
  }
}

run "every_node_sees_the_image" {
  variables {
    storage       = "resources"
    proxmox_nodes = ["pve01", "pve02"]
    image = {
      artifact_id   = "2c80398aadeec6f67750bd9a79d3dc3b451bf59ec1eec75c2ab6ca826788737c"
      talos_version = "v1.11.5"
      platform      = "nocloud"
      architecture  = "amd64"
      format        = "iso"
      file_name     = "talos.iso"
      url           = "https://factory.test/image/x/v1.11.5/nocloud-amd64.iso"
    }
  }
  assert {
    condition     = talos_artifact_copy.proxmox.proxmox[0].storage == "resources" && talos_artifact_copy.proxmox.proxmox[0].nodes == tolist(["pve01", "pve02"])
    error_message = "one storage, all nodes"
  }
  assert {
    condition     = talos_artifact_copy.proxmox.keep_previous
    error_message = "machines go on naming the image of their first boot"
  }
  assert {
    condition     = keys(output.talos_image_file_ids) == tolist(["pve01", "pve02"])
    error_message = jsonencode(output.talos_image_file_ids)
  }
}
