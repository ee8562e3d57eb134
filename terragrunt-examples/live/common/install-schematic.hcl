# What is in the image that every cluster boots and installs.
locals {
  versions = read_terragrunt_config("${get_terragrunt_dir()}/versions.hcl").locals

  # factory: an Image Factory puts the official extensions together; nothing is built here.
  # imager:  the imager runs on build_host and takes the custom extensions too, such as FRR for BGP.
  mode        = "factory"
  factory_url = get_env("TALOS_FACTORY_URL", "https://factory.talos.dev")
  has_frr     = local.mode == "imager"

  # Official extensions of this version of Talos: file image-digests in ghcr.io/siderolabs/extensions:<talos_version>.
  # A factory is given the names alone and takes what belongs to the version. Order is part of the image's id.
  install_system_extensions = [
    "ghcr.io/siderolabs/intel-ucode:20250812@sha256:31142ac037235e6779eea9f638e6399080a1f09e7c323ffa30b37488004057a5",
    "ghcr.io/siderolabs/qemu-guest-agent:10.0.2@sha256:9720300de00544eca155bc19369dfd7789d39a0e23d72837a7188f199e13dc6c",
    "ghcr.io/siderolabs/crun:1.24@sha256:157f1c563931275443dd46fbc44c854c669f5cf4bbc285356636a57c6d33caed",
    "ghcr.io/siderolabs/ctr:v2.1.5@sha256:73abe655f96bb40a02fc208bf2bed695aa02a85fcd93ff521a78bb92417652c5",
  ]

  # Extensions of our own: in mode imager only.
  install_custom_extensions = [
    "ghcr.io/sulibot/talos-frr-extension:v1.0.18",
  ]

  # Build that extension here, in artifacts/extension, instead of taking what is published. Its tag gets a short id of
  # its content: v1.0.18-1a2b3c4d.
  build_extension      = false
  extension_repository = "ghcr.io/sulibot/talos-frr-extension"
  extension_version    = "v1.0.18"

  # Talos from 1.11 on knows no other hierarchy: it stays for older ones. Never talos.platform here: it would take the
  # boot image its platform, and with it the addresses that Proxmox hands to a new machine.
  install_kernel_args = [
    "talos.unified_cgroup_hierarchy=1",
  ]

  # Mode imager: the names that are published. A change of extensions within one version of Talos needs other names,
  # such as a tag v1.12.0-frr-1.0.19: a name that is taken by other content is refused. null gives names with a short
  # id of the content, as mode factory has them.
  installer_repository = "ghcr.io/sulibot/talos-frr-installer"
  installer_tag        = local.versions.talos_version
  iso_name             = "talos-frr-${local.versions.talos_version}-${local.versions.talos_platform}-${local.versions.talos_architecture}.iso"
  artifact_repository  = "ghcr.io/sulibot/talos-frr-images"
  build_host           = get_env("TALOS_BUILD_HOST", "")
}
