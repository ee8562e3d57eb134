//! A working directory in which `tofu` or `terraform` runs with the built provider.

use std::{
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use lab::{
    Home,
    provider::{Cli, Provider},
};
use serde_json::Value as Json;

/// A working directory and a CLI.
pub struct Desk {
    pub(crate) home: Home,
    provider: Provider,
    /// Ours alone; goes with the desk.
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

    /// Fails the test unless one diagnostic says `words` and shows the user this line of main.tf.
    #[track_caller]
    pub fn expect_says_at(&self, words: &str, line: &str) {
        let (words, line) = (flat(words), flat(line));
        let told = diagnostics(&self.text);
        let is_it = |told: &String| told.contains(&words) && is_at(told, &line);
        assert!(
            told.iter().any(is_it),
            "it does not say {words:?} at {line:?}: {self}"
        );
    }
}

/// The errors and warnings in what a CLI printed, each as [`flat`] text.
fn diagnostics(text: &str) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for line in text.lines().map(flat) {
        if line.starts_with("Error: ") || line.starts_with("Warning: ") {
            told.push(line);
        } else if let Some(last) = told.last_mut().filter(|_| !line.is_empty()) {
            *last = format!("{last} {line}");
        }
    }
    told
}

/// Whether a diagnostic, as [`flat`] text, shows this line of the configuration.
fn is_at(told: &str, line: &str) -> bool {
    let shown = told.split_once("on main.tf line ").and_then(|(_, rest)| {
        let (number, rest) = rest.split_once([',', ':'])?;
        rest.split_once(&format!(" {number}: "))
    });
    shown.is_some_and(|(_, text)| text.starts_with(line))
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

impl Desk {
    /// An empty working directory.
    pub fn new(home: Home) -> Result<Self, Box<dyn Error>> {
        let provider = provider(&home)?;
        Ok(Self {
            home,
            provider,
            directory: tempfile::tempdir()?,
            cli: Cli::Tofu,
            environment: Vec::new(),
        })
    }

    /// The working directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The helper that the provider carries.
    pub fn helper(&self) -> &Path {
        &self.provider.helper
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_is_where_it_shows_a_line() {
        let told = diagnostics(
            "\nError: no\n\n  with x.y,\n  on main.tf line 7, in resource \"x\" \"y\":\n   7:   a = 1\n\nIt is \
             wrong.\n╷\n│ Warning: b\n│ \n│   on main.tf line 8:\n│    8: b = 1\n╵\n",
        );
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(is_at(&told[0], "a = 1") && told[0].ends_with("It is wrong."));
        assert!(is_at(&told[1], "b = 1") && !is_at(&told[1], "a = 1"));
        assert!(!is_at("a = 1", "a = 1"));
    }
}
