include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "bootstrap" {
  path = find_in_parent_folders("common/units/bootstrap.hcl")
}
