output "image" {
  description = "The boot image, for whoever distributes it."
  value       = talos_artifact.this.image
}

output "installer_image" {
  description = "What machine.install.image says."
  value       = talos_artifact.this.installer_image
}

output "installer_image_digest" {
  description = "The same, pinned by digest."
  value       = talos_artifact.this.installer_image_digest
}

output "talos_image_file_name" {
  description = "Name of the boot image."
  value       = talos_artifact.this.talos_image_file_name
}

output "talos_image_id" {
  description = "Id of the schematic, or of the build."
  value       = talos_artifact.this.talos_image_id
}

output "sha256" {
  description = "Checksum of the boot image."
  value       = talos_artifact.this.sha256
}

output "talos_version" {
  description = "Version of Talos."
  value       = talos_artifact.this.talos_version
}

output "kubernetes_version" {
  description = "Version of Kubernetes, without v."
  value       = talos_artifact.this.kubernetes_version
}
