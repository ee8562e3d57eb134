# What all etcd clusters share unless they say otherwise.
locals {
  # Node keys stand in names of units and paths for life: add at the end, never renumber.
  addresses = split(",", get_env("ETCD_HOSTS", "10.0.1.10,10.0.1.11,10.0.1.12"))
  hosts     = { for i, address in local.addresses : tostring(i + 1) => address }
  ca_hosts  = { "1" = local.addresses[0] }

  # Directory or URL of release archives; empty takes them from upstream.
  download_mirror = get_env("ETCD_DOWNLOAD_MIRROR", "")

  # false, applied, allows to destroy.
  protected = get_env("ETCD_PROTECTED", "true") == "true"
}
