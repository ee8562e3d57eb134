run "the_tag_is_the_version" {
  command = plan
  variables {
    repository        = "ghcr.io/sulibot/talos-frr-extension"
    extension_version = "v1.0.18"
  }
  assert {
    condition     = terraform_data.extension.input == "ghcr.io/sulibot/talos-frr-extension:v1.0.18"
    error_message = terraform_data.extension.input
  }
}

run "another_engine_is_refused" {
  command = plan
  variables {
    repository        = "ghcr.io/sulibot/talos-frr-extension"
    extension_version = "v1.0.18"
    engine            = "rkt"
  }
  expect_failures = [var.engine]
}
