variables {
  shared_talos_version = "v1.11.5"
}

run "none_is_the_shared_artifacts" {
  command = plan
  assert {
    condition     = !output.has_own_iso && !output.has_own_installer
    error_message = "nothing is overridden"
  }
}

run "null_counts_as_absent" {
  command = plan
  variables {
    overrides = { installer_image = null, iso_file_id = null, talos_version = null, kubernetes_version = null }
  }
  assert {
    condition     = !output.has_own_iso && !output.has_own_installer
    error_message = "nothing is overridden"
  }
}

run "a_complete_one_is_accepted" {
  command = plan
  variables {
    overrides = {
      installer_image    = "ghcr.io/sulibot/talos-frr-installer:v1.12.0-frr-1.0.19"
      iso_file_id        = "resources:iso/talos-frr-v1.12.0-nocloud-amd64.iso"
      talos_version      = "v1.12.0"
      kubernetes_version = "v1.32.0"
    }
  }
  assert {
    condition     = output.has_own_iso && output.has_own_installer
    error_message = "both are overridden"
  }
}

run "an_old_installer_alone_is_accepted_with_its_versions" {
  command = plan
  variables {
    overrides = { installer_image = "example.org/installer:v1.10.8", talos_version = "v1.10.8", kubernetes_version = "1.31.4" }
  }
  assert {
    condition     = !output.has_own_iso && output.has_own_installer
    error_message = "only the installer is overridden"
  }
}

run "an_iso_of_the_shared_version_is_accepted" {
  command = plan
  variables {
    overrides = { iso_file_id = "resources:iso/by-hand.iso", talos_version = "v1.11.5", kubernetes_version = "1.31.4" }
  }
  assert {
    condition     = output.has_own_iso
    error_message = "the image is overridden"
  }
}

run "kubernetes_alone_is_accepted" {
  command = plan
  variables {
    overrides = { kubernetes_version = "1.32.0" }
  }
  assert {
    condition     = !output.has_own_iso
    error_message = "no image is overridden"
  }
}

run "a_unit_without_shared_artifacts_compares_nothing" {
  command = plan
  variables {
    shared_talos_version = null
    overrides            = { iso_file_id = "resources:iso/x.iso", talos_version = "v1.12.0", kubernetes_version = "1.32.0" }
  }
  assert {
    condition     = output.has_own_iso
    error_message = "the image is overridden"
  }
}

run "an_iso_without_versions_is_refused" {
  command = plan
  variables {
    overrides = { iso_file_id = "resources:iso/x.iso" }
  }
  expect_failures = [var.overrides]
}

run "an_installer_with_one_version_is_refused" {
  command = plan
  variables {
    overrides = { installer_image = "x/y:z", talos_version = "v1.12.0" }
  }
  expect_failures = [var.overrides]
}

run "another_version_with_the_shared_installer_is_refused" {
  command = plan
  variables {
    overrides = { iso_file_id = "resources:iso/x.iso", talos_version = "v1.12.0", kubernetes_version = "1.32.0" }
  }
  expect_failures = [var.overrides]
}

run "a_misspelt_key_is_refused" {
  command = plan
  variables {
    overrides = { iso_id = "resources:iso/x.iso" }
  }
  expect_failures = [var.overrides]
}

run "an_empty_text_is_refused" {
  command = plan
  variables {
    overrides = { kubernetes_version = "" }
  }
  expect_failures = [var.overrides]
}
