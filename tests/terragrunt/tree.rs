//! A copy of the examples, in which commands run.

use std::{
    error::Error,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lab::{
    Home, Host,
    provider::{Cli, Provider},
    upstream,
};
use serde_json::{Value as Json, json};
use tests::{Run, desk};

/// Variables of the person who runs the tests that would reach Terragrunt, OpenTofu or a provider.
const FOREIGN: [&str; 7] = ["TG_", "TF_", "PROXMOX_", "TALOS_", "ETCD_", "AWS_", "SSH_"];

/// A copy of the examples of its own, with an environment of its own.
pub(crate) struct Tree {
    home: Home,
    provider: Provider,
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Tree {
    /// A fresh copy, and credentials that nobody asks for in a plan.
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let home = Home::open()?;
        let provider = installed(&home)?;
        upstream::ensure(&home)?;
        let directory = tempfile::tempdir()?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terragrunt-examples");
        for name in ["live", "modules"] {
            copy(&examples.join(name), &directory.path().join(name))?;
        }
        let mut tree = Self {
            home,
            provider,
            directory,
            environment: Vec::new(),
        };
        let own = tree.directory.path().display().to_string();
        tree.set("HOME", &own);
        tree.set("PROXMOX_VE_ENDPOINT", "https://pve01.test:8006");
        tree.set(
            "PROXMOX_VE_API_TOKEN",
            "terraform@pve!live=00000000-0000-0000-0000-000000000000",
        );
        Ok(tree)
    }

    /// A fresh copy with the same variables and nothing else in common, as another machine has it.
    pub(crate) fn elsewhere(&self) -> Result<Self, Box<dyn Error>> {
        let mut other = Self::new()?;
        let same = self.environment.iter().filter(|(name, _)| name != "HOME");
        other.environment.retain(|(name, _)| name == "HOME");
        other.environment.extend(same.cloned());
        Ok(other)
    }

    /// Sets a variable for all later runs.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Lets units log in to hosts of a lab as to this one.
    pub(crate) fn log_in(&mut self, host: &Host) {
        self.set("TG_SSH_USER", host.user());
        let key = host.private_key_file().display().to_string();
        self.set("TG_SSH_PRIVATE_KEY_FILE", &key);
        let known = host.known_hosts_file().display().to_string();
        self.set("TG_SSH_KNOWN_HOSTS_FILE", &known);
    }

    /// Takes a variable away again.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// A path below `live`.
    pub(crate) fn live(&self, path: &str) -> PathBuf {
        self.directory.path().join("live").join(path)
    }

    /// A path below `modules`.
    pub(crate) fn module(&self, path: &str) -> PathBuf {
        self.directory.path().join("modules").join(path)
    }

    /// State of a unit, where Terragrunt looks for it.
    pub(crate) fn state(&self, unit: &str) -> PathBuf {
        self.live(".state").join(unit).join("terraform.tfstate")
    }

    /// Runs Terragrunt below `live`.
    pub(crate) fn terragrunt(
        &self,
        directory: &str,
        arguments: &[&str],
    ) -> Result<Run, Box<dyn Error>> {
        let mut command = self.command(Cli::Terragrunt, &self.live(directory))?;
        command.args(["--non-interactive", "--no-color", "--log-format", "bare"]);
        run(command.args(arguments))
    }

    /// Runs commands as a person types them below `live`.
    pub(crate) fn shell(&self, directory: &str, commands: &str) -> Result<Run, Box<dyn Error>> {
        let terragrunt = self.command(Cli::Terragrunt, &self.live(directory))?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", commands])
            .current_dir(self.live(directory));
        for (name, value) in terragrunt.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let programs = Path::new(terragrunt.get_program())
            .parent()
            .ok_or("a program lies in a directory")?;
        let known = self.environment.iter().find(|(name, _)| name == "PATH");
        let path = known.map_or_else(
            || std::env::var("PATH").unwrap_or_default(),
            |(_, path)| path.clone(),
        );
        shell
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("TG_NO_COLOR", "true")
            .env("TG_LOG_FORMAT", "bare")
            .env("TF_CLI_ARGS", "-no-color")
            .env("TG_NON_INTERACTIVE", "true")
            .stdin(Stdio::null());
        run(&mut shell)
    }

    /// Runs `run --all`, with arguments for OpenTofu.
    pub(crate) fn all(&self, directory: &str, arguments: &[&str]) -> Result<Run, Box<dyn Error>> {
        self.terragrunt(directory, &[&["run", "--all", "--"], arguments].concat())
    }

    /// What a command prints as JSON on its standard output.
    pub(crate) fn json(&self, directory: &str, arguments: &[&str]) -> Result<Json, Box<dyn Error>> {
        let mut command = self.command(Cli::Terragrunt, &self.live(directory))?;
        let output = command.arg("--non-interactive").args(arguments).output()?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("{arguments:?}: {error}: {said}").into()
        })
    }

    /// Runs OpenTofu itself.
    pub(crate) fn tofu(&self, directory: &Path, arguments: &[&str]) -> Result<Run, Box<dyn Error>> {
        run(self.command(Cli::Tofu, directory)?.args(arguments))
    }

    fn command(&self, cli: Cli, directory: &Path) -> Result<Command, Box<dyn Error>> {
        let mut command = self.provider.command(&self.home, cli, directory)?;
        let ours: Vec<_> = command
            .get_envs()
            .map(|(name, _)| name.to_owned())
            .collect();
        for (name, _) in std::env::vars_os() {
            let is_foreign = FOREIGN
                .iter()
                .any(|start| name.to_string_lossy().starts_with(start));
            if is_foreign && !ours.contains(&name) {
                command.env_remove(name);
            }
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Replaces the one place of `from` in a file below `live`.
    #[track_caller]
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) -> Result<(), Box<dyn Error>> {
        let path = self.live(file);
        let text = fs::read_to_string(&path)?;
        assert_eq!(text.matches(from).count(), 1, "{from} in {file}:\n{text}");
        fs::write(path, text.replace(from, to))?;
        Ok(())
    }

    /// Lets a unit look as if it had been applied with these outputs.
    pub(crate) fn pretend(&self, unit: &str, outputs: &Json) -> Result<(), Box<dyn Error>> {
        let outputs: serde_json::Map<String, Json> = outputs
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let kind = match value {
                    Json::Object(_) => json!(["map", "string"]),
                    _ => json!("string"),
                };
                (name.clone(), json!({"value": value, "type": kind}))
            })
            .collect();
        let path = self.state(unit);
        fs::create_dir_all(path.parent().ok_or("a state lies in a directory")?)?;
        let state = json!({
            "version": 4, "terraform_version": "1.12.6", "serial": 1, "lineage": unit,
            "outputs": outputs, "resources": [], "check_results": null,
        });
        fs::write(path, state.to_string())?;
        Ok(())
    }

    /// Lets the shared artifacts look as if they were there.
    pub(crate) fn pretend_artifacts(&self) -> Result<(), Box<dyn Error>> {
        self.pretend_artifacts_of("v1.11.5")
    }

    /// The same for a version of Talos.
    pub(crate) fn pretend_artifacts_of(&self, version: &str) -> Result<(), Box<dyn Error>> {
        let installer = SHARED_INSTALLER.replace("v1.11.5", version);
        self.pretend(
            "artifacts/images",
            &json!({
                "installer_image": installer, "talos_image_id": "2c80398a",
                "talos_version": version, "kubernetes_version": "1.31.4",
            }),
        )?;
        let iso = SHARED_ISO.replace("v1.11.5", version);
        self.pretend(
            "artifacts/registry",
            &json!({
                "talos_image_file_ids": {"pve01": iso, "pve02": iso, "pve03": iso},
                "talos_image_file_name": format!("talos-{version}.iso"), "talos_image_id": "2c80398a",
                "talos_version": version, "kubernetes_version": "1.31.4",
            }),
        )
    }
}

/// What shared artifacts that look as if they were there give out.
pub(crate) const SHARED_ISO: &str = "resources:iso/talos-v1.11.5.iso";
/// The same for the installer.
pub(crate) const SHARED_INSTALLER: &str = "factory.test/nocloud-installer/2c80398a:v1.11.5";

/// The provider that the lab has installed for these tests, or else the one that is built now.
fn installed(home: &Home) -> Result<Provider, Box<dyn Error>> {
    let Some(binary) = std::env::var_os("ETCD_PROVIDER_PATH").map(PathBuf::from) else {
        return desk::provider(home);
    };
    let mirror = binary
        .ancestors()
        .find(|directory| directory.join("cli.tfrc").is_file())
        .ok_or_else(|| format!("{} lies in no mirror", binary.display()))?;
    Ok(Provider {
        cli_config: mirror.join("cli.tfrc"),
        helper: PathBuf::new(),
        binary,
    })
}

fn run(command: &mut Command) -> Result<Run, Box<dyn Error>> {
    let output = command.output()?;
    Ok(Run {
        code: output.status.code().unwrap_or(-1),
        text: format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    })
}

/// Copies a directory with all that is in it, but not what runs have left in a checkout.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    const LEFT: [&str; 4] = [
        ".terragrunt-cache",
        ".terraform",
        ".terraform.lock.hcl",
        ".state",
    ];
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT.iter().any(|left| OsStr::new(left) == name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// Paths of all files below `directory`, sorted, relative to it; not what links lead to.
pub(crate) fn files(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                walk(root, &entry.path(), found)?;
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(root)?.display().to_string());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(directory, directory, &mut found)?;
    found.sort();
    Ok(found)
}
