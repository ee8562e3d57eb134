# What all units share: where their state lies, and the credentials that providers find in their environment.

locals {
  live = dirname(find_in_parent_folders("root.hcl"))

  credentials = read_terragrunt_config("${local.live}/common/credentials.hcl").locals

  # By default beside this file; never in .terragrunt-cache, which may be deleted at any time. TG_STATE_DIRECTORY moves it;
  # TG_STATE_BUCKET puts it into S3, which locks and keeps versions: what a team and CI want. TG_STATE_ENDPOINT is for an S3 of
  # one's own, such as that of Ceph.
  state_directory = get_env("TG_STATE_DIRECTORY", "${local.live}/.state")
  state_bucket    = get_env("TG_STATE_BUCKET", "")
  state_endpoint  = get_env("TG_STATE_ENDPOINT", "")
  is_remote       = local.state_bucket != ""
}

remote_state {
  backend = local.is_remote ? "s3" : "local"
  generate = {
    path      = "backend.tf"
    if_exists = "overwrite_terragrunt"
  }
  config = [
    {
      path = "${local.state_directory}/${path_relative_to_include("root")}/terraform.tfstate"
    },
    merge(
      {
        bucket       = local.state_bucket
        key          = "${path_relative_to_include("root")}/terraform.tfstate"
        region       = get_env("TG_STATE_REGION", "us-east-1")
        encrypt      = true
        use_lockfile = true
      },
      local.state_endpoint == "" ? {} : {
        endpoint                    = local.state_endpoint
        use_path_style              = true
        skip_credentials_validation = true
        skip_requesting_account_id  = true
        skip_metadata_api_check     = true
        skip_region_validation      = true

        # For who lets Terragrunt make the bucket: an S3 of one's own has no accounts of AWS, and need not know these
        # settings.
        skip_bucket_root_access            = true
        skip_bucket_enforced_tls           = true
        skip_bucket_public_access_blocking = true
        skip_bucket_ssencryption           = true
      },
    ),
  ][local.is_remote ? 1 : 0]
}

terraform {
  # Secrets go by the environment, so that they stand in no file and no plan.
  extra_arguments "credentials" {
    commands = get_terraform_commands_that_need_vars()
    env_vars = local.credentials.environment
  }

  # Each unit installs its providers for itself. Terragrunt would let all units install into one directory, where the first
  # init of one takes a provider away for a moment that another one needs: it says `failed to verify checksum`, or OpenTofu crashes.
  extra_arguments "providers" {
    commands = ["init"]
    env_vars = { TF_PLUGIN_CACHE_DIR = "" }
  }

  # Somebody else's apply ends; waiting for it is better than failing.
  extra_arguments "locks" {
    commands  = get_terraform_commands_that_need_locking()
    arguments = ["-lock-timeout=10m"]
  }
}
