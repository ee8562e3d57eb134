# The clusters that there are, as their directories say: a copied directory gets its networks too.
locals {
  directory = "${get_terragrunt_dir()}/../clusters"
  files     = sort(fileset(local.directory, "*/cluster.hcl"))
  clusters  = { for file in local.files : dirname(file) => read_terragrunt_config("${local.directory}/${file}").locals }
  names     = sort(keys(local.clusters))

  # 100 is the network of what is no cluster.
  ids = concat([100], [for name in local.names : local.clusters[name].cluster_id])

  # What each cluster has to itself, as cluster.hcl calls it, with what else makes it the same: a VLAN is one of its bridge.
  # Who has no VLAN, or no second network, shares none. Proxmox refuses a number of a machine that is taken only when others
  # are made already, and names, addresses and networks not at all.
  own = {
    for name, cluster in local.clusters : name => {
      "cluster_name"        = [try(tostring(cluster.cluster_name), "")]
      "cluster_id"          = [try(tostring(cluster.cluster_id), "")]
      "network.vlan_public" = [try(cluster.network.vlan_public > 0 ? tostring(cluster.network.vlan_public) : "", ""), try(cluster.network.bridge_public, "")]
      "network.bridge_mesh" = [try(cluster.network.use_sdn ? cluster.network.bridge_mesh : "", ""), try(tostring(cluster.network.vlan_mesh), "")]
    }
  }
  pairs = flatten([
    for i, name in local.names : [
      for other in slice(local.names, i + 1, length(local.names)) : {
        names  = [name, other]
        shared = [for key, value in local.own[name] : "${key} = ${value[0]}" if value[0] != "" && join(" ", value) == join(" ", local.own[other][key])]
      }
    ]
  ])
  collisions = [
    for pair in local.pairs : {
      names    = pair.names
      sentence = "clusters/${pair.names[0]} and clusters/${pair.names[1]} both have ${join(", ", pair.shared)}: each cluster needs its own, so edit what is named here in the cluster.hcl of one of them."
    } if length(pair.shared) > 0
  ]

  # The sentence to fail with: of any two clusters, and of a cluster with another one. Empty when there is none.
  collision    = try(local.collisions[0].sentence, "")
  collision_of = { for name in local.names : name => try([for found in local.collisions : found.sentence if contains(found.names, name)][0], "") }
}
