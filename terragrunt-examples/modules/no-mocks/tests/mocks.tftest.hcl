run "real_values_need_nothing" {
  variables {
    values = ["resources:iso/talos.iso", "v1.11.5", null]
  }
  assert {
    condition     = length(terraform_data.mock) == 0
    error_message = "nothing is made for real values"
  }
}

run "mocks_may_be_planned" {
  command = plan
  variables {
    values = ["resources:iso/mock-talos-image.iso"]
  }
  assert {
    condition     = length(terraform_data.mock) == 1
    error_message = "a plan with mocks shows it"
  }
}

run "mocks_are_never_applied" {
  variables {
    values = ["resources:iso/mock-talos-image.iso"]
  }
  expect_failures = [terraform_data.mock]
}
