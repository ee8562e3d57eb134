# The one place that says which versions are run. A change here builds new artifacts beside the old ones; no cluster
# changes before it is applied and upgraded itself.
locals {
  talos_version      = "v1.11.5"
  kubernetes_version = "1.31.4"
  talos_platform     = "nocloud"
  talos_architecture = "amd64"
  cilium_version     = "1.18.4"
}
