terraform {
  required_providers {
    etcd = {
      source = "etcd-fleet/etcd"
    }
  }
}

provider "etcd" {
  ssh {
    user             = "ops"
    private_key_file = "~/.ssh/id_ed25519"
    known_hosts_file = "~/.ssh/known_hosts"
  }
}
