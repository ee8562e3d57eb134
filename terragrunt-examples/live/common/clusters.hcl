# The clusters that there are, as their directories say: a copied directory gets its networks too.
locals {
  directory = "${get_terragrunt_dir()}/../clusters"
  files     = sort(fileset(local.directory, "*/cluster.hcl"))

  # 100 is the network of what is no cluster.
  ids = concat([100], [for file in local.files : read_terragrunt_config("${local.directory}/${file}").locals.cluster_id])
}
