# A plan that was saved while dependencies had only mocks must never be applied. Terragrunt gives no mocks to an apply of its own,
# but an apply of a saved plan takes what is in the plan.

terraform {
  required_version = ">= 1.11"
}

variable "values" {
  description = "What came from dependencies."
  type        = list(string)
}

locals {
  mocks = [for value in var.values : value if strcontains(coalesce(value, "-"), "mock-")]
}

# Exists only in plans with mocks. Its id is unknown until the apply, and so its condition is looked at only then.
resource "terraform_data" "mock" {
  count = length(local.mocks) > 0 ? 1 : 0

  lifecycle {
    postcondition {
      condition     = self.id == ""
      error_message = "This plan was made before its dependencies existed, with ${join(", ", local.mocks)} in their place. Apply the dependencies, then plan again."
    }
  }
}
