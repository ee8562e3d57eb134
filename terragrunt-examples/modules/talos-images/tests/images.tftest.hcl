mock_provider "etcd" {
  mock_resource "talos_artifact" {
    defaults = {
      status = "ready"
    }
  }
}

variables {
  talos_version      = "v1.11.5"
  kubernetes_version = "1.31.4"
  platform           = "nocloud"
  architecture       = "amd64"
  kernel_args        = ["talos.unified_cgroup_hierarchy=1"]
  system_extensions = [
    "ghcr.io/siderolabs/intel-ucode:20250812@sha256:31142ac037235e6779eea9f638e6399080a1f09e7c323ffa30b37488004057a5",
    "ghcr.io/siderolabs/qemu-guest-agent:10.0.2@sha256:9720300de00544eca155bc19369dfd7789d39a0e23d72837a7188f199e13dc6c",
  ]
}

run "a_factory_is_given_names_in_their_order" {
  assert {
    condition     = talos_artifact.this.extensions == tolist(["siderolabs/intel-ucode", "siderolabs/qemu-guest-agent"])
    error_message = jsonencode(talos_artifact.this.extensions)
  }
  assert {
    condition     = talos_artifact.this.extension_images == null && talos_artifact.this.file_name == null
    error_message = "the factory has images and names of its own"
  }
}

run "the_imager_is_given_images_and_names" {
  variables {
    mode                = "imager"
    custom_extensions   = ["ghcr.io/sulibot/talos-frr-extension:v1.0.18"]
    builder             = { host = "10.0.0.5" }
    iso_name            = "talos-frr-v1.11.5-nocloud-amd64.iso"
    artifact_repository = "ghcr.io/sulibot/talos-frr-images"
    installer           = { repository = "ghcr.io/sulibot/talos-frr-installer", tag = "v1.11.5" }
  }
  assert {
    condition     = talos_artifact.this.extension_images == tolist(concat(var.system_extensions, var.custom_extensions))
    error_message = jsonencode(talos_artifact.this.extension_images)
  }
  assert {
    condition     = talos_artifact.this.extensions == null
    error_message = "names are for a factory"
  }
  assert {
    condition     = talos_artifact.this.file_name == "talos-frr-v1.11.5-nocloud-amd64.iso"
    error_message = "the name that is published"
  }
  assert {
    condition     = talos_artifact.this.installer.repository == "ghcr.io/sulibot/talos-frr-installer" && talos_artifact.this.installer.tag == "v1.11.5" && talos_artifact.this.installer.platform == "metal"
    error_message = "the installer that is published"
  }
}

run "custom_extensions_need_the_imager" {
  command = plan
  variables {
    custom_extensions = ["ghcr.io/sulibot/talos-frr-extension:v1.0.18"]
  }
  expect_failures = [var.custom_extensions]
}

run "an_extension_that_is_not_pinned_is_refused" {
  command = plan
  variables {
    system_extensions = ["ghcr.io/siderolabs/crun:1.24"]
  }
  expect_failures = [var.system_extensions]
}

run "the_imager_needs_a_host_and_a_repository" {
  command = plan
  variables {
    mode = "imager"
  }
  expect_failures = [var.builder, var.installer]
}
