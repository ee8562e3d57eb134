include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "config" {
  path = find_in_parent_folders("common/units/config.hcl")
}
