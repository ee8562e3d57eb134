//! A sample provider under the real CLIs: what they enforce, in the order in which they call.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tests::{Outcome, client::Failure};
use tokio::process::Command;

const CONFIGURATION: &str = r#"
terraform {
  required_providers { sample = { source = "registry.example/test/sample" } }
}
variable "nodes" { default = null }
variable "typed_null" {
  type    = string
  default = null
}
variable "flag" { default = false }
provider "sample" {
  directory = "${path.module}/things"
  token     = "planted-token"
}
resource "sample_thing" "all" {
  name     = "all"
  count_of = 0.5
  flag     = var.flag
  labels   = { a = "1", b = "2" }
  names    = ["b", "a"]
  ports    = [2380, 2379]
  point    = { x = 0.1 }
  pair     = ["a", true]
  nodes    = { "1" = { host = "h", port = 22 }, "2" = { host = "g" } }
  secret   = "planted-secret"
  ssh { user = "ops" }
  profile { user = "one" }
  profile { user = "two" }
  zone "north" { user = "three" }
}
resource "sample_thing" "named_later" {
  name   = "later-${sample_thing.all.size}"
  nodes  = var.nodes
  labels = { x = sample_thing.all.id }
}
resource "sample_thing" "null_text" {
  name     = "null"
  nodes    = var.typed_null
  count_of = log(2, 10)
}
data "sample_echo" "nodes" { given = sample_thing.all.nodes }
output "nodes" { value = data.sample_echo.nodes.echo }
output "twice" { value = provider::sample::twice(21) }
"#;

/// A working directory in which a CLI finds the sample provider.
struct Site {
    cli: PathBuf,
    directory: tempfile::TempDir,
}

impl Site {
    fn new(cli: PathBuf) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let programs = directory.path().join("programs");
        fs::create_dir(&programs)?;
        fs::create_dir(directory.path().join("things"))?;
        fs::create_dir(directory.path().join("tmp"))?;
        fs::copy(
            env!("CARGO_BIN_EXE_sample-provider"),
            programs.join("terraform-provider-sample"),
        )?;
        let overrides = format!(
            "provider_installation {{\n  dev_overrides {{\n    \
             \"registry.example/test/sample\" = \"{}\"\n  }}\n  direct {{}}\n}}\n",
            programs.display()
        );
        fs::write(directory.path().join("cli.tfrc"), overrides)?;
        fs::write(directory.path().join("main.tf"), CONFIGURATION)?;
        Ok(Self { cli, directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Exit code and what was said.
    async fn run(&self, arguments: &[&str]) -> Result<(i32, String), Failure> {
        let output = Command::new(&self.cli)
            .args(arguments)
            .arg("-no-color")
            .current_dir(self.directory.path())
            .env("TF_CLI_CONFIG_FILE", self.path("cli.tfrc"))
            .env("CHECKPOINT_DISABLE", "1")
            .env("TMPDIR", self.path("tmp"))
            .env_remove("TF_LOG")
            .output()
            .await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok((output.status.code().unwrap_or(-1), said))
    }

    #[track_caller]
    fn expect(&self, wanted: i32, (code, said): &(i32, String)) {
        assert_eq!(*code, wanted, "{}: {said}", self.cli.display());
    }

    fn names(&self, directory: &str) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(directory))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// OpenTofu as the lab builds it, and Terraform if there is one.
fn clis() -> Result<Vec<PathBuf>, Failure> {
    let programs = std::env::var("ETCD_LAB_PROGRAMS")
        .map_err(|_| "ETCD_LAB_PROGRAMS names no directory: run `cargo lab test real`")?;
    let mut found: Vec<PathBuf> = fs::read_dir(programs)?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/tofu")))
        .filter(|path| path.is_file())
        .collect();
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = path
        .split(':')
        .map(|directory| Path::new(directory).join("terraform"));
    found.extend(on_path.filter(|path| path.is_file()).take(1));
    Ok(found)
}

#[tokio::test]
async fn every_cli_takes_its_plans_and_results() -> Outcome {
    let clis = clis()?;
    assert!(!clis.is_empty(), "there is a CLI");
    for cli in clis {
        let site = Site::new(cli)?;
        site.expect(0, &site.run(&["validate"]).await?);
        site.expect(2, &site.run(&["plan", "-detailed-exitcode"]).await?);
        let applied = site.run(&["apply", "-auto-approve"]).await?;
        site.expect(0, &applied);
        assert!(applied.1.contains("3 added"), "{}", applied.1);
        for _ in 0..3 {
            site.expect(0, &site.run(&["plan", "-detailed-exitcode"]).await?);
            let without = ["plan", "-detailed-exitcode", "-refresh=false"];
            site.expect(0, &site.run(&without).await?);
        }
        let refresh = ["plan", "-detailed-exitcode", "-refresh-only"];
        site.expect(0, &site.run(&refresh).await?);
        for file in ["terraform.tfstate", "things/all"] {
            let text = fs::read_to_string(site.path(file))?;
            assert!(!text.contains("planted"), "{file}: {text}");
        }

        // Changed outside: found, shown and mended in place.
        let thing = fs::read_to_string(site.path("things/all"))?;
        fs::write(
            site.path("things/all"),
            thing.replace("\"ops\"", "\"root\""),
        )?;
        site.expect(2, &site.run(&refresh).await?);
        site.expect(2, &site.run(&["plan", "-detailed-exitcode"]).await?);
        let mended = site.run(&["apply", "-auto-approve"]).await?;
        assert!(mended.1.contains("1 changed, 0 destroyed"), "{}", mended.1);
        site.expect(0, &site.run(&["plan", "-detailed-exitcode"]).await?);

        let changed = ["apply", "-auto-approve", "-var", "flag=true"];
        let changed = site.run(&changed).await?;
        assert!(
            changed.1.contains("1 changed, 0 destroyed"),
            "{}",
            changed.1
        );
        let forgotten = ["state", "rm", "sample_thing.all"];
        let output = Command::new(&site.cli)
            .args(forgotten)
            .current_dir(site.directory.path())
            .env("TF_CLI_CONFIG_FILE", site.path("cli.tfrc"))
            .output()
            .await?;
        assert!(output.status.success(), "{output:?}");
        let import = ["import", "-var", "flag=true", "sample_thing.all", "all"];
        site.expect(0, &site.run(&import).await?);
        let unchanged = ["plan", "-detailed-exitcode", "-var", "flag=true"];
        site.expect(0, &site.run(&unchanged).await?);
        site.expect(0, &site.run(&["destroy", "-auto-approve"]).await?);
        assert_eq!(site.names("things")?, Vec::<String>::new());
        assert_eq!(
            site.names("tmp")?,
            Vec::<String>::new(),
            "no socket is left"
        );
    }
    Ok(())
}
