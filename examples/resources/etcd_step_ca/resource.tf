# One CA serves all clusters. It runs on a host of its own or beside a member.
resource "etcd_step_ca" "main" {
  name        = "main"
  nodes       = { "1" = { host = "10.0.1.10" } }
  active_node = "1"
}
