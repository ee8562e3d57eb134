//! A working directory in which a real CLI runs with the real provider against a server.

use std::{error::Error, fs, path::PathBuf, process::Stdio, time::Duration};

use proxmox_server::{ROOT_PASSWORD, ROOT_TOKEN, Server, Spec};
use tokio::process::Command;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Outcome = Result<(), Failure>;

/// How the provider logs in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Login {
    Token,
    Password,
}

pub(crate) struct Site {
    pub(crate) server: Server,
    tofu: PathBuf,
    directory: tempfile::TempDir,
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Run {
    /// Fails the test with everything that was said unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }

    /// Fails the test unless it was said, whatever lines it was broken into.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        let bare = self.text.replace(['│', '╷', '╵'], " ");
        let flat = bare.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat.contains(words),
            "it does not say {words:?}:\n{}",
            self.text
        );
    }
}

fn variable(name: &str) -> Result<PathBuf, Failure> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: see the head of this target").into())
}

fn tofu() -> Result<PathBuf, Failure> {
    let programs = variable("ETCD_LAB_PROGRAMS")?;
    let mut found: Vec<_> = fs::read_dir(&programs)?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("tofu-"))
        .map(|entry| entry.path().join("bin/tofu"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
        .pop()
        .ok_or_else(|| format!("there is no tofu in {}", programs.display()).into())
}

impl Site {
    pub(crate) fn new(login: Login) -> Result<Self, Failure> {
        let provider = variable("PROXMOX_PROVIDER_PATH")?;
        let server = Server::start(Spec::default())?;
        let directory = tempfile::tempdir()?;
        let programs = directory.path().join("programs");
        fs::create_dir(&programs)?;
        std::os::unix::fs::symlink(
            fs::canonicalize(&provider)?,
            programs.join("terraform-provider-proxmox"),
        )?;
        let overrides = format!(
            "provider_installation {{\n  dev_overrides {{\n    \"bpg/proxmox\" = \"{}\"\n  }}\n  direct {{}}\n}}\n",
            programs.display()
        );
        fs::write(directory.path().join("cli.tfrc"), overrides)?;
        let credentials = match login {
            Login::Token => format!("api_token = \"{ROOT_TOKEN}\""),
            Login::Password => format!("username = \"root@pam\"\n  password = \"{ROOT_PASSWORD}\""),
        };
        let head = format!(
            "terraform {{\n  required_providers {{\n    proxmox = {{ source = \"bpg/proxmox\" }}\n  }}\n}}\nprovider \"proxmox\" {{\n  endpoint = \"{}/\"\n  insecure = true\n  {credentials}\n}}\n",
            server.endpoint("pve01")
        );
        fs::write(directory.path().join("provider.tf"), head)?;
        Ok(Self {
            server,
            tofu: tofu()?,
            directory,
        })
    }

    /// Writes the configuration, all of it but the provider.
    pub(crate) fn configure(&self, text: &str) -> Outcome {
        Ok(fs::write(self.directory.path().join("main.tf"), text)?)
    }

    /// Writes a file to be sent; gives its path.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Run, Failure> {
        let output = Command::new(&self.tofu)
            .args(arguments)
            .arg("-no-color")
            .current_dir(self.directory.path())
            .env("TF_CLI_CONFIG_FILE", self.directory.path().join("cli.tfrc"))
            .env("CHECKPOINT_DISABLE", "1")
            .env_remove("TF_LOG")
            .stdin(Stdio::null())
            .output()
            .await?;
        Ok(Run {
            code: output.status.code().unwrap_or(-1),
            text: format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        })
    }

    pub(crate) async fn apply(&self) -> Result<Run, Failure> {
        self.run(&["apply", "-auto-approve"]).await
    }

    /// Exit code 0 for nothing to do, 2 for changes.
    pub(crate) async fn plan(&self) -> Result<Run, Failure> {
        self.run(&["plan", "-detailed-exitcode"]).await
    }

    pub(crate) async fn destroy(&self) -> Result<Run, Failure> {
        self.run(&["destroy", "-auto-approve"]).await
    }
}

/// Waits for something that happens in the server.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
