# How hosts are reached by SSH: those of etcd, and the build host of mode imager.
locals {
  user             = get_env("TG_SSH_USER", "root")
  private_key_file = get_env("TG_SSH_PRIVATE_KEY_FILE", "~/.ssh/id_ed25519")
  known_hosts_file = get_env("TG_SSH_KNOWN_HOSTS_FILE", "~/.ssh/known_hosts")
}
