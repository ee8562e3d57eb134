variables {
  repository        = "ghcr.io/sulibot/talos-frr-extension"
  extension_version = "v1.0.18"
}

run "the_tag_is_the_version_and_the_content" {
  command = plan
  assert {
    condition     = can(regex("^ghcr[.]io/sulibot/talos-frr-extension:v1[.]0[.]18-[0-9a-f]{8}$", output.extension_image))
    error_message = output.extension_image
  }
}

run "another_engine_is_refused" {
  command = plan
  variables {
    engine = "rkt"
  }
  expect_failures = [var.engine]
}
