//! `cargo lab test`: one stage after another, and at the end what each took and said.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::archive;
use crate::base::{self, Release};
use crate::command;
use crate::home::Home;
use crate::lab;
use crate::prerequisite;
use crate::program::{self, Program};
use crate::progress;
use crate::provider::{self, Provider};
use crate::target::{self, ACCEPTANCE};
use crate::upstream;

/// Version of cargo-deny, installed into the lab's home.
const CARGO_DENY: &str = "0.20.2";

/// Environment variable that tells tests against real programs where they lie: `<name>-<version>-<hash>/bin`.
const PROGRAMS_VARIABLE: &str = "ETCD_LAB_PROGRAMS";

/// Environment variable that tells tests of the protocol where the built provider is.
const PROVIDER_VARIABLE: &str = "ETCD_PROVIDER_PATH";

/// Environment variable that tells tests beside the real Proxmox provider where its binary is.
const PROXMOX_PROVIDER_VARIABLE: &str = "PROXMOX_PROVIDER_PATH";

/// A stage could not be run or has failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the stage needs of the machine.
    #[error(transparent)]
    Prerequisite(#[from] prerequisite::Error),
    /// A base root.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// A real program.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// A release archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The provider.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// A provider of others.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// What an earlier run left.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// cargo-deny could not be installed.
    #[error("install cargo-deny")]
    InstallDeny {
        /// What failed.
        source: command::Error,
    },
    /// The list of test targets.
    #[error(transparent)]
    Targets(#[from] target::Error),
    /// The stage's program could not be run.
    #[error("run `{argv}`")]
    Run {
        /// The command.
        argv: String,
        /// Why.
        source: io::Error,
    },
    /// The stage's program ended with a failure; it has said why.
    #[error("`{argv}` ended with {status}")]
    Failed {
        /// The command.
        argv: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A name that is no stage.
    #[error("no stage {name}: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
}

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Formatting.
    Format,
    /// Lints, warnings denied.
    Lint,
    /// Unit, protocol and simulation tests of the whole workspace.
    Tests,
    /// Tests of single parts, the lab among them, against real programs and hosts.
    Real,
    /// The provider on real hosts.
    Acceptance,
    /// Licences, bans and sources of dependencies.
    Dependencies,
}

impl Stage {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 6] = [
        Self::Format,
        Self::Lint,
        Self::Tests,
        Self::Real,
        Self::Acceptance,
        Self::Dependencies,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lint => "lint",
            Self::Tests => "tests",
            Self::Real => "real",
            Self::Acceptance => "acceptance",
            Self::Dependencies => "dependencies",
        }
    }

    /// The stages of these names; all for none.
    pub fn named(names: &[String]) -> Result<Vec<Self>, Error> {
        let mut chosen = BTreeSet::new();
        for name in names {
            let stage = Self::ALL.into_iter().find(|stage| stage.name() == name);
            chosen.insert(stage.ok_or_else(|| Error::Unknown {
                name: name.clone(),
                known: Self::ALL.map(Self::name).join(", "),
            })?);
        }
        Ok(if chosen.is_empty() {
            Self::ALL.into()
        } else {
            chosen.into_iter().collect()
        })
    }

    /// Runs the stage; keeps what is to be told at its end.
    fn run(self, home: &Home, said: &Said) -> Result<(), Error> {
        match self {
            Self::Format => {
                let mut format = provider::cargo()?;
                format.args(["fmt", "--all", "--check", "--", "-l"]);
                shown(said, format)
            }
            Self::Lint => {
                let clippy = |what: &[&str]| {
                    let mut arguments = vec!["clippy", "--release", "--quiet"];
                    arguments.extend(what);
                    arguments.extend(["--", "-D", "warnings"]);
                    cargo(home, said, &arguments)
                };
                clippy(&["--workspace", "--all-targets"])?;
                // Targets that are run by name are no part of "all".
                let mut by_name = target::opt_in()?;
                by_name.push(("tests".to_owned(), ACCEPTANCE.to_owned()));
                for (package, target) in by_name {
                    clippy(&["--package", &package, "--test", &target])?;
                }
                Ok(())
            }
            Self::Tests => cargo(
                home,
                said,
                &[
                    "test",
                    "--release",
                    "--workspace",
                    "--quiet",
                    "--no-fail-fast",
                ],
            ),
            Self::Real => {
                hosts(home)?;
                archive::ensure(home)?;
                for name in [
                    "tofu",
                    "terragrunt",
                    "registry",
                    "image-factory",
                    "versitygw",
                ] {
                    for program in Program::named(name)? {
                        program.ensure(home)?;
                    }
                }
                let proxmox = upstream::ensure(home)?;
                let built = Provider::ensure(home)?;
                let mut result = Ok(());
                for (package, target) in target::opt_in()? {
                    let mut real = provider::cargo_with(&built.helper)?;
                    real.args([
                        "test",
                        "--release",
                        "--package",
                        &package,
                        "--test",
                        &target,
                    ]);
                    real.env(PROGRAMS_VARIABLE, home.programs())
                        .env(provider::HELPER_VARIABLE, &built.helper)
                        .env(PROVIDER_VARIABLE, &built.binary)
                        .env(PROXMOX_PROVIDER_VARIABLE, &proxmox);
                    if let Err(error) = shown(said, real) {
                        result = result.and(Err(error));
                    }
                }
                result
            }
            Self::Acceptance => {
                hosts(home)?;
                archive::ensure(home)?;
                for program in Program::named("tofu")? {
                    program.ensure(home)?;
                }
                Provider::ensure(home)?;
                cargo(
                    home,
                    said,
                    &[
                        "test",
                        "--release",
                        "--package",
                        "tests",
                        "--test",
                        ACCEPTANCE,
                        "--no-fail-fast",
                    ],
                )
            }
            Self::Dependencies => {
                let deny = cargo_deny(home)?;
                let mut command = provider::cargo()?;
                // No advisories: a new one must not break a change that has nothing to do with it.
                command.args(["deny", "--locked", "--all-features", "check"]);
                command.args(["bans", "licenses", "sources"]);
                let path = std::env::var("PATH").unwrap_or_default();
                command.env("PATH", format!("{deny}:{path}"));
                shown(said, command)
            }
        }
    }
}

/// What a stage came to.
#[derive(Debug)]
pub struct Report {
    /// The stage.
    pub stage: Stage,
    /// How long it took.
    pub time: Duration,
    /// What its runners said that is told once more at the end.
    pub closing_lines: Vec<String>,
    /// Why it failed, if it did.
    pub failure: Option<Error>,
}

/// Runs the stages, each whatever came of the others.
pub fn run(home: &Home, stages: &[Stage]) -> Vec<Report> {
    let mut reports = Vec::new();
    for &stage in stages {
        progress::say(&format!("stage {}", stage.name()));
        let begun = Instant::now();
        let said = Said::default();
        let failure = stage.run(home, &said).err();
        let closing_lines = said
            .lines
            .into_inner()
            .expect("no thread of the stage has panicked");
        reports.push(Report {
            stage,
            time: begun.elapsed(),
            closing_lines,
            failure,
        });
    }
    reports
}

fn hosts(home: &Home) -> Result<(), Error> {
    prerequisite::for_hosts(home)?;
    prerequisite::for_builds(home)?;
    lab::sweep(home)?;
    for release in Release::ALL {
        base::ensure(home, release)?;
    }
    Ok(())
}

/// A cargo command with the helper that the provider carries: without it, the provider would be compiled twice.
fn cargo(home: &Home, said: &Said, arguments: &[&str]) -> Result<(), Error> {
    let mut cargo = provider::cargo_with(&provider::helper(home)?)?;
    cargo.args(arguments);
    shown(said, cargo)
}

/// Directory with cargo-deny, installed first where it is missing.
fn cargo_deny(home: &Home) -> Result<String, Error> {
    let root = home.tools().join(format!("cargo-deny-{CARGO_DENY}"));
    let binaries = root.join("bin").display().to_string();
    if !root.join("bin/cargo-deny").is_file() {
        progress::say("installing cargo-deny (once, some minutes)");
        let mut install = command::command(&[
            "nice",
            "cargo",
            "install",
            "--locked",
            "--quiet",
            "cargo-deny",
        ]);
        install
            .args(["--version", CARGO_DENY])
            .arg("--root")
            .arg(&root)
            .current_dir("/");
        command::long("installing cargo-deny", &mut install)
            .map_err(|source| Error::InstallDeny { source })?;
    }
    Ok(binaries)
}

/// Lines that are told once more at the end, gathered while they are shown.
#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Vec<String>>,
}

/// Runs a command, shows what it prints as it comes, and keeps what is told at the end.
fn shown(said: &Said, mut command: Command) -> Result<(), Error> {
    let argv = command::shown(&command);
    let failed = |source| Error::Run {
        argv: argv.clone(),
        source,
    };
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().expect("the child's output is piped");
    let stderr = child.stderr.take().expect("the child's errors are piped");
    thread::scope(|scope| {
        scope.spawn(|| pass_on(said, stdout));
        scope.spawn(|| pass_on(said, stderr));
    });
    let status = child.wait().map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed { argv, status })
    }
}

fn pass_on(said: &Said, from: impl Read) {
    for line in BufReader::new(from).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line);
        progress::pass_on(&line);
        if is_kept(&line) {
            said.lines
                .lock()
                .expect("no thread of the stage has panicked")
                .push(line.into_owned());
        }
    }
}

/// What a person wants to see once more at the end: how many tests there were, which of them failed, and
/// what did not compile.
fn is_kept(line: &str) -> bool {
    let counts = line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed;");
    let failed = line.ends_with(" ... FAILED") || line.ends_with(" --- FAILED");
    let broken = line.starts_with("error") || line.trim_start().starts_with("--> ");
    counts || failed || broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_closing_lines_that_count_something() {
        let said = Said::default();
        let text = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored\ntest result: ok. 0 passed; 0 failed; 0 ignored\n";
        pass_on(&said, text.as_bytes());
        assert_eq!(
            said.lines.into_inner().expect("one thread"),
            ["test result: ok. 2 passed; 0 failed; 0 ignored"]
        );
    }

    #[test]
    fn keeps_what_failed() {
        for line in [
            "test drift::a_member ... FAILED",
            "drift::a_member --- FAILED",
            "error[E0063]: missing field `root_path`",
            "  --> src/node/tests/real/renewal.rs:29:17",
        ] {
            assert!(is_kept(line), "{line}");
        }
        for line in [
            "test drift::a_member ... ok",
            "warning: unused",
            "   Compiling node",
        ] {
            assert!(!is_kept(line), "{line}");
        }
    }

    #[test]
    fn refuses_a_stage_that_there_is_not() {
        let error = Stage::named(&["lints".to_owned()]).expect_err("no such stage");
        assert!(error.to_string().contains("format, lint, tests"), "{error}");
    }
}
