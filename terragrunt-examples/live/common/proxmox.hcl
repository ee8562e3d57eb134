# The Proxmox cluster that carries everything.
locals {
  endpoint = get_env("PROXMOX_VE_ENDPOINT", "https://pve01.sulibot.com:8006")
  nodes    = ["pve01", "pve02", "pve03"]

  # Storage for boot images: it must take the content iso. Shared storage is sent an image once, a node's own once each.
  image_storage = "resources"

  # How the API's certificate is known: a CA file, or the SHA-256 fingerprint of a self-signed one. The machines'
  # provider knows only the system's roots, or none at all.
  ca_file     = get_env("PROXMOX_VE_CA_FILE", "")
  fingerprint = get_env("PROXMOX_VE_FINGERPRINT", "")
  insecure    = get_env("PROXMOX_VE_INSECURE", "false") == "true"

  # For 0-sdn-setup and 1-firewall.
  evpn_controller  = "evpn"
  admin_networks   = ["10.0.0.0/24", "fd00::/64"]
  firewall_enabled = false
}
