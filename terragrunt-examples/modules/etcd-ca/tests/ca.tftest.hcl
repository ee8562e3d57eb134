mock_provider "etcd" {
  mock_resource "etcd_step_ca" {
    defaults = {
      status = "ready"
    }
  }
}

run "a_ca_is_protected_by_itself" {
  variables {
    name  = "main"
    hosts = { "1" = "10.0.1.10" }
  }
  assert {
    condition     = etcd_step_ca.this.deletion_protection && !etcd_step_ca.this.delete_data
    error_message = "a CA is not lost by a mistake"
  }
}
