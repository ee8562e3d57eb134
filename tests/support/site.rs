//! A lab with a working directory in which `tofu` or `terraform` runs.

use std::{
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use lab::{
    Home, Host, HostSpec, Lab, Spec,
    provider::{Cli, Provider},
};
use serde_json::{Value as Json, json};

/// Hosts, a working directory and a CLI.
pub struct Site {
    home: Home,
    /// The hosts.
    pub lab: Lab,
    provider: Provider,
    archives: PathBuf,
    /// Ours alone; goes with the site.
    directory: tempfile::TempDir,
    /// The CLI that runs.
    pub cli: Cli,
    /// Variables of the environment of all later runs.
    pub environment: Vec<(&'static str, PathBuf)>,
}

/// What a run of the CLI came to.
#[derive(Debug)]
pub struct Run {
    /// Exit code; -1 if it was killed.
    pub code: i32,
    /// What it printed, both streams, without frames and line breaks of its own.
    pub text: String,
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "exit {}\n{}", self.code, self.text)
    }
}

impl Run {
    /// Whether it ended well.
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Fails the test with the whole output unless it ended well.
    #[track_caller]
    pub fn expect_ok(&self) {
        assert!(self.is_ok(), "{self}");
    }

    /// Fails the test unless the output says `words`, whatever line breaks the CLI put into them.
    #[track_caller]
    pub fn expect_says(&self, words: &str) {
        assert!(
            flat(&self.text).contains(&flat(words)),
            "it does not say {words:?}: {self}"
        );
    }
}

/// Text without the frames of diagnostics and with single blanks.
fn flat(text: &str) -> String {
    let bare: String = text
        .chars()
        .map(|letter| {
            if "│╷╵".contains(letter) {
                ' '
            } else {
                letter
            }
        })
        .collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The built provider: the same for all tests of a run, whatever is edited meanwhile.
///
/// # Errors
/// It does not compile, or cannot be installed.
pub fn provider(home: &Home) -> Result<Provider, Box<dyn Error>> {
    static BUILT: Mutex<Option<Provider>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(provider) = &*built {
        return Ok(provider.clone());
    }
    let provider = Provider::ensure(home)?;
    Ok(built.insert(provider).clone())
}

impl Site {
    /// Boots hosts and makes an empty working directory.
    pub fn new(name: &str, hosts: Vec<HostSpec>) -> Result<Self, Box<dyn Error>> {
        let home = Home::open()?;
        let archives = lab::archive::ensure(&home)?;
        let provider = provider(&home)?;
        let name = format!("{name}-{}", std::process::id());
        let lab = Lab::up(&home, &Spec::ephemeral(&name, hosts))?;
        let directory = tempfile::tempdir()?;
        Ok(Self {
            home,
            lab,
            provider,
            archives,
            directory,
            cli: Cli::Tofu,
            environment: Vec::new(),
        })
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        self.lab.hosts()
    }

    /// The working directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The helper that the provider carries.
    pub fn helper(&self) -> &Path {
        &self.provider.helper
    }

    /// Directory of release archives.
    pub fn archives(&self) -> &Path {
        &self.archives
    }

    /// Starts all hosts side by side: what runs on them may wait for each other.
    pub fn boot_all(&self) -> Result<(), Box<dyn Error>> {
        std::thread::scope(|scope| {
            let boots: Vec<_> = self
                .hosts()
                .iter()
                .map(|host| scope.spawn(move || host.boot()))
                .collect();
            for boot in boots {
                boot.join().expect("a boot does not panic")?;
            }
            Ok(())
        })
    }

    /// Takes the hosts down.
    pub fn down(self) -> Result<(), Box<dyn Error>> {
        Ok(self.lab.down()?)
    }

    /// Puts an example of the repository into the working directory, with variables for these hosts.
    pub fn example(&self, name: &str) -> Result<(), Box<dyn Error>> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples")
            .join(name)
            .join("main.tf");
        fs::copy(from, self.directory().join("main.tf"))?;
        Ok(())
    }

    /// Writes a file of the working directory.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
        fs::write(self.directory().join(name), text)?;
        Ok(())
    }

    /// Sets variables for all later runs.
    pub fn set(&self, variables: &Json) -> Result<(), Box<dyn Error>> {
        self.write("test.auto.tfvars.json", &variables.to_string())
    }

    /// Variables of the quickstart for these hosts.
    pub fn quickstart(&self) -> Json {
        let first = &self.hosts()[0];
        json!({
            "hosts": self.hosts().iter().map(|host| host.address().to_string()).collect::<Vec<_>>(),
            "ssh_user": first.user(),
            "private_key_file": first.private_key_file(),
            "known_hosts_file": first.known_hosts_file(),
            "download_mirror": self.archives,
            "protected": false,
        })
    }

    /// The head of a configuration of its own: provider and login for these hosts.
    pub fn head(&self) -> String {
        let first = &self.hosts()[0];
        format!(
            r#"
terraform {{
  required_providers {{
    etcd = {{ source = "etcd-fleet/etcd" }}
  }}
}}
provider "etcd" {{
  ssh {{
    user             = "{}"
    private_key_file = "{}"
    known_hosts_file = "{}"
  }}
  download {{
    mirror = "{}"
  }}
}}
"#,
            first.user(),
            first.private_key_file().display(),
            first.known_hosts_file().display(),
            self.archives.display(),
        )
    }

    /// A command of the CLI in the working directory.
    pub fn command(&self, arguments: &[&str]) -> Result<Command, Box<dyn Error>> {
        let mut command = self
            .provider
            .command(&self.home, self.cli, self.directory())?;
        command.args(arguments).stdin(Stdio::null());
        // Nothing of the person who runs the tests.
        command
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("TF_LOG")
            .env_remove("TF_LOG_PROVIDER")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs the CLI to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Run, Box<dyn Error>> {
        let output = self.command(arguments)?.output()?;
        Ok(Run {
            code: output.status.code().unwrap_or(-1),
            text: format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        })
    }

    /// Starts the CLI with a log of the provider at info, which goes to a file.
    pub fn start(&self, arguments: &[&str], log: &Path) -> Result<Child, Box<dyn Error>> {
        let mut command = self.command(arguments)?;
        command
            .env("TF_LOG_PROVIDER", "info")
            .env("TF_LOG_PATH", log);
        Ok(command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    /// `init`.
    pub fn init(&self) -> Result<(), Box<dyn Error>> {
        self.run(&["init", "-no-color"])?.expect_ok();
        Ok(())
    }

    /// `apply` without asking.
    pub fn apply(&self) -> Result<Run, Box<dyn Error>> {
        self.run(&["apply", "-auto-approve", "-no-color"])
    }

    /// `plan` with its exit code: 0 for nothing to do, 2 for changes.
    pub fn plan(&self) -> Result<Run, Box<dyn Error>> {
        self.run(&["plan", "-detailed-exitcode", "-no-color"])
    }

    /// `destroy` without asking.
    pub fn destroy(&self) -> Result<Run, Box<dyn Error>> {
        self.run(&["destroy", "-auto-approve", "-no-color"])
    }

    /// Fails the test unless nothing is to be done.
    #[track_caller]
    pub fn expect_no_change(&self) -> Result<(), Box<dyn Error>> {
        let plan = self.plan()?;
        assert_eq!(plan.code, 0, "a plan after an apply is empty: {plan}");
        Ok(())
    }

    /// The attributes of a resource in the state, by its address.
    pub fn state(&self, address: &str) -> Result<Json, Box<dyn Error>> {
        let run = self.command(&["show", "-json"])?.output()?;
        let json: Json = serde_json::from_slice(&run.stdout)?;
        let resources = json["values"]["root_module"]["resources"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = resources
            .into_iter()
            .find(|resource| resource["address"] == address);
        Ok(found.ok_or_else(|| format!("{address} is not in the state"))?["values"].clone())
    }
}
