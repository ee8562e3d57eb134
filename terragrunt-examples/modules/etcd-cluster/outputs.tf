output "endpoints" {
  description = "Client URLs."
  value       = etcd_cluster.this.endpoints
}

output "client_certificate" {
  description = "Paths of a client certificate on the first host."
  value       = etcd_cluster.this.client_certificate
}

output "members" {
  description = "What each member is called and where it is."
  value       = etcd_cluster.this.members
}

output "apiserver_flags" {
  description = "What kube-apiserver is started with, to keep its objects in this cluster."
  value = [
    "--etcd-servers=${etcd_cluster.this.endpoints_joined}",
    "--etcd-cafile=${etcd_cluster.this.client_certificate.ca_file}",
    "--etcd-certfile=${etcd_cluster.this.client_certificate.certificate_file}",
    "--etcd-keyfile=${etcd_cluster.this.client_certificate.key_file}",
  ]
}
