resource "etcd_cluster" "k8s" {
  name   = "k8s"
  issuer = etcd_step_ca.main.issuer

  nodes = {
    "1" = { host = "10.0.1.10" }
    "2" = { host = "10.0.1.11" }
    "3" = { host = "10.0.1.12" }
  }

  # A member that needs work is a failed apply, not a green one.
  lifecycle {
    postcondition {
      condition     = self.status == "ready"
      error_message = "etcd cluster ${self.name}: ${self.status}"
    }
  }
}

resource "etcd_step_ca" "main" {
  name        = "main"
  nodes       = { "1" = { host = "10.0.1.10" } }
  active_node = "1"
}

# What kube-apiserver wants to know.
output "apiserver_flags" {
  value = {
    etcd-servers  = join(",", etcd_cluster.k8s.endpoints)
    etcd-cafile   = etcd_cluster.k8s.client_certificate.ca_file
    etcd-certfile = etcd_cluster.k8s.client_certificate.certificate_file
    etcd-keyfile  = etcd_cluster.k8s.client_certificate.key_file
  }
}
