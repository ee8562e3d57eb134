# Credentials, each from the environment if it is there, else from credentials.sops.yaml beside this file.
#
# Without SOPS: export PROXMOX_VE_API_TOKEN='terraform@pve!live=…', and there is nothing else to do.
# With SOPS:    cp credentials.example.yaml credentials.sops.yaml, write the values into it,
#               sops --encrypt --in-place credentials.sops.yaml, and commit it.
locals {
  file      = "${get_terragrunt_dir()}/credentials.sops.yaml"
  decrypted = yamldecode(fileexists(local.file) ? sops_decrypt_file(local.file) : "{}")

  names = [
    "PROXMOX_VE_API_TOKEN",
    "PROXMOX_VE_USERNAME",
    "PROXMOX_VE_PASSWORD",
  ]
  values = { for name in local.names : name => get_env(name, tostring(try(local.decrypted[lower(name)], ""))) }

  environment = { for name, value in local.values : name => value if value != "" }
}
