output "network" {
  description = "What the cluster's networks are called and where they begin."
  value = {
    public_ipv6         = "fd00:${local.id}::/64"
    public_ipv4         = "10.0.${local.id}.0/24"
    public_ipv6_gateway = "fd00:${local.id}::1"
    public_ipv4_gateway = "10.0.${local.id}.1"
    global_ipv6         = var.gua_prefix
    loopbacks           = "fd00:255:${local.id}::/64"
    control_plane_vip   = "fd00:${local.id}::10"
    vnet                = "vnet${local.id}"
    pods_ipv6           = "fd00:${local.id}:1::/56"
    services_ipv6       = "fd00:${local.id}:2::/112"
  }
}

output "bgp" {
  description = "Unnumbered BGP with the anycast gateway of the SDN: whom nodes speak with, what they learn."
  value = {
    gateway        = "fe80::255:ffff"
    default_routes = ["::/0", "0.0.0.0/0"]
    asns           = { for name, node in local.nodes : name => node.asn }
  }
}

output "nodes" {
  description = "The nodes by name, with all that is theirs alone."
  value       = local.nodes
}

output "endpoint" {
  description = "URL of the Kubernetes API."
  value       = "https://[fd00:${local.id}::10]:6443"
}
