include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "compute" {
  path = find_in_parent_folders("common/units/compute.hcl")
}
