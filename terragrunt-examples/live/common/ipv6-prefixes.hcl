# Global unicast prefix of each cluster's network, by the cluster's number. A cluster that is not here has none.
# These are of the documentation's own prefix: put in what your provider delegates to you.
locals {
  prefixes = {
    "101" = "2001:db8:0:101::/64"
    "102" = "2001:db8:0:102::/64"
    "103" = "2001:db8:0:103::/64"
  }
}
