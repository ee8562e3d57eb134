module "plan" {
  source        = "../address-plan"
  cluster_id    = var.cluster_id
  cluster_name  = var.cluster_name
  controlplanes = var.controlplanes
  workers       = var.workers
  proxmox_nodes = var.proxmox_nodes
  gua_prefix    = var.gua_prefix
}

module "overrides" {
  source               = "../artifact-overrides"
  overrides            = var.artifact_overrides
  shared_talos_version = var.shared_talos_version
}

module "no_mocks" {
  source = "../no-mocks"
  values = [var.installer_image, var.talos_image_id]
}

locals {
  # Both spellings are met; a node's configuration has one.
  talos_version      = try("v${trimprefix(var.talos_version, "v")}", null)
  kubernetes_version = try(trimprefix(var.kubernetes_version, "v"), null)

  # Loopbacks reach other nodes only where BGP carries them.
  node_networks = var.frr ? [module.plan.network.loopbacks] : [module.plan.network.public_ipv6, module.plan.network.public_ipv4]

  # With BGP these routes are what remains while no other was learned. FRR takes the first byte of a metric for the distance:
  # 200 is farther than what BGP has learned (20), and any metric below 2^24 would be the nearest of all (0).
  route_preference = var.frr ? { metric = 200 * pow(2, 24) } : {}

  default_routes = [
    merge({ network = "::/0", gateway = module.plan.network.public_ipv6_gateway }, local.route_preference),
    merge({ network = "0.0.0.0/0", gateway = module.plan.network.public_ipv4_gateway }, local.route_preference),
  ]

  public_interface = {
    for name, node in module.plan.nodes : name => merge(
      {
        deviceSelector = { hardwareAddr = node.public_mac }
        dhcp           = false
        mtu            = var.network.public_mtu
        addresses      = concat(["${node.public_ipv6}/64", "${node.public_ipv4}/24"], [for address in node.global_ipv6[*] : "${address}/64"])
        routes         = local.default_routes
      },
      node.role == "controlplane" ? { vip = { ip = module.plan.network.control_plane_vip } } : {},
    )
  }

  machine = {
    for name, node in module.plan.nodes : name => {
      machine = {
        install = { image = var.installer_image, disk = var.install_disk, wipe = false }
        network = {
          hostname    = name
          nameservers = var.nameservers
          interfaces = concat(
            [local.public_interface[name]],
            [for use_sdn in [var.network.use_sdn] : { deviceSelector = { hardwareAddr = node.mesh_mac }, dhcp = false, mtu = var.network.mesh_mtu } if use_sdn],
            [{ interface = "lo", addresses = ["${node.loopback}/128"] }],
          )
        }
        kubelet = { nodeIP = { validSubnets = local.node_networks } }
      }
    }
  }

  cluster = {
    cluster = {
      network = {
        # Cilium, installed once the API answers.
        cni            = { name = "none" }
        podSubnets     = [module.plan.network.pods_ipv6, "10.244.0.0/16"]
        serviceSubnets = [module.plan.network.services_ipv6, "10.96.0.0/12"]
      }
      proxy = { disabled = true }
    }
  }

  control_plane = {
    cluster = {
      apiServer = { certSANs = [module.plan.network.control_plane_vip] }
      etcd      = { advertisedSubnets = local.node_networks }
    }
  }

  frr = {
    for name, node in module.plan.nodes : name => {
      apiVersion = "v1alpha1"
      kind       = "ExtensionServiceConfig"
      name       = "frr"
      configFiles = [
        {
          mountPath = "/usr/local/etc/frr/frr.conf"
          content = templatefile("${path.module}/frr.conf.tftpl", {
            name        = name
            asn         = node.asn
            loopback    = node.loopback
            public_ipv4 = node.public_ipv4
            interface   = var.mesh_interface
            gateway     = module.plan.bgp.gateway
          })
        },
      ]
    }
  }
}

resource "talos_machine_secrets" "this" {
  talos_version = local.talos_version

  lifecycle {
    # An older version would make new secrets, and with them a cluster that knows none of its nodes.
    ignore_changes = [talos_version]

    precondition {
      condition     = var.installer_talos_version == null || trimprefix(coalesce(var.installer_talos_version, "-"), "v") == trimprefix(coalesce(local.talos_version, "-"), "v")
      error_message = "The machines boot Talos ${coalesce(local.talos_version, "?")}, but the shared installer would install ${coalesce(var.installer_talos_version, "?")}: apply artifacts/images and artifacts/registry both, or override both."
    }
  }

  depends_on = [module.no_mocks, module.overrides]
}

data "talos_machine_configuration" "node" {
  for_each = module.plan.nodes

  cluster_name       = var.cluster_name
  cluster_endpoint   = module.plan.endpoint
  machine_type       = each.value.role
  machine_secrets    = talos_machine_secrets.this.machine_secrets
  talos_version      = local.talos_version
  kubernetes_version = local.kubernetes_version
  docs               = false
  examples           = false
  config_patches = concat(
    [yamlencode(local.machine[each.key]), yamlencode(local.cluster)],
    [for role in [each.value.role] : yamlencode(local.control_plane) if role == "controlplane"],
    [for frr in [var.frr] : yamlencode(local.frr[each.key]) if frr],
    var.config_patches,
  )
}

data "talos_client_configuration" "this" {
  cluster_name         = var.cluster_name
  client_configuration = talos_machine_secrets.this.client_configuration
  endpoints            = [for node in module.plan.nodes : node.public_ipv6 if node.role == "controlplane"]
  nodes                = [for node in module.plan.nodes : node.public_ipv6]
}
