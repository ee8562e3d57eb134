mock_provider "etcd" {
  mock_resource "etcd_cluster" {
    defaults = {
      status           = "ready"
      endpoints_joined = "https://10.0.1.10:2379,https://10.0.1.11:2379"
      client_certificate = {
        ca_file          = "/etc/etcd/ssl/main-root_ca.crt"
        certificate_file = "/etc/etcd/ssl/etcd-k8s-1-client.crt"
        key_file         = "/etc/etcd/ssl/etcd-k8s-1-client.key"
      }
    }
  }
}

variables {
  name  = "k8s"
  hosts = { "1" = "10.0.1.10", "2" = "10.0.1.11", "3" = "10.0.1.12" }
  issuer = {
    directory        = "/etc/step-ca"
    name             = "main"
    nodes            = []
    port             = 9000
    provisioner      = "etcd-provisioner"
    root_fingerprint = "0000000000000000000000000000000000000000000000000000000000000000"
    urls             = ["https://10.0.1.10:9000"]
  }
}

run "an_api_server_gets_its_flags" {
  assert {
    condition = output.apiserver_flags == [
      "--etcd-servers=https://10.0.1.10:2379,https://10.0.1.11:2379",
      "--etcd-cafile=/etc/etcd/ssl/main-root_ca.crt",
      "--etcd-certfile=/etc/etcd/ssl/etcd-k8s-1-client.crt",
      "--etcd-keyfile=/etc/etcd/ssl/etcd-k8s-1-client.key",
    ]
    error_message = join(" ", output.apiserver_flags)
  }
}
