//! From a fresh clone to a healthy cluster on three hosts, and back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::archive;
use crate::base::{self, Release};
use crate::command;
use crate::home::{self, Home};
use crate::host;
use crate::lab::{self, Lab};
use crate::prerequisite;
use crate::progress;
use crate::provider::{self, Cli, Provider};
use crate::repository;
use crate::spec::{DEFAULT_LAB, HostSpec, Spec};

/// Hosts that the quickstart wants.
const HOSTS: usize = 3;
/// etcd's own client as the provider installs it on hosts.
const ETCDCTL: &str = "/opt/bin/etcdctl";

/// The demo could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// What the machine lacks.
    #[error(transparent)]
    Prerequisite(#[from] prerequisite::Error),
    /// The base of the hosts.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// The release archives.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The provider or the CLI.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// The hosts.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// A check on a host.
    #[error("look at the cluster from a host")]
    Look {
        /// What failed.
        source: host::Error,
    },
    /// A file of the demo's directory.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The CLI failed; it has said why.
    #[error("tofu {step}")]
    Tofu {
        /// Its subcommand.
        step: &'static str,
        /// What failed.
        source: command::Error,
    },
    /// The configuration's outputs are not those of the quickstart.
    #[error("read the outputs of the quickstart")]
    Outputs {
        /// Why.
        source: serde_json::Error,
    },
}

/// What the demo has made.
#[derive(Debug)]
pub struct Demo {
    /// Working directory of the configuration.
    pub directory: PathBuf,
    /// The hosts.
    pub lab: Lab,
    /// What etcd's own client says on the first host over TLS, in its tables.
    pub tables: Vec<String>,
    /// What was done and how long it took, in order.
    pub times: Vec<(&'static str, Duration)>,
}

/// Outputs of `examples/quickstart`.
#[derive(Deserialize)]
struct Outputs {
    endpoints: Output<Vec<String>>,
    client_certificate: Output<ClientCertificate>,
}

#[derive(Deserialize)]
struct Output<T> {
    value: T,
}

/// Paths on each host.
#[derive(Deserialize)]
struct ClientCertificate {
    #[serde(rename = "ca_file")]
    ca: String,
    #[serde(rename = "certificate_file")]
    certificate: String,
    #[serde(rename = "key_file")]
    key: String,
}

/// Makes the demo, or brings one that is there up to date.
pub fn make(home: &Home) -> Result<Demo, Error> {
    let mut times = Vec::new();
    timed(&mut times, "tools and base of the hosts", || {
        prerequisite::for_hosts(home)?;
        base::ensure(home, Release::Bookworm)?;
        Ok(())
    })?;
    let archives = timed(&mut times, "etcd, step-ca and tofu from source", || {
        Ok(archive::ensure(home)?)
    })?;
    let provider = timed(&mut times, "provider and helper", || {
        Ok(Provider::ensure(home)?)
    })?;
    let lab = timed(&mut times, "three hosts", || hosts(home))?;
    let directory = configuration(home, &lab, &archives)?;
    progress::say("tofu init");
    timed(&mut times, "tofu init", || {
        tofu(home, &provider, &directory, "init", &["-input=false"])
    })?;
    progress::say("tofu apply");
    timed(&mut times, "tofu apply: a CA and three members", || {
        tofu(
            home,
            &provider,
            &directory,
            "apply",
            &["-input=false", "-auto-approve"],
        )
    })?;
    let tables = timed(&mut times, "health by etcdctl over TLS", || {
        look(home, &provider, &directory, &lab)
    })?;
    timed(&mut times, "tofu plan: nothing to do", || {
        tofu(
            home,
            &provider,
            &directory,
            "plan",
            &["-input=false", "-detailed-exitcode"],
        )
    })?;
    Ok(Demo {
        directory,
        lab,
        tables,
        times,
    })
}

/// Removes the cluster by tofu, then the hosts and the directory. Nothing there is fine.
pub fn destroy(home: &Home) -> Result<(), Error> {
    let directory = home.demo();
    let lab = match Lab::open(home, DEFAULT_LAB) {
        Ok(lab) => Some(lab),
        Err(lab::Error::NotUp { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if lab.is_some() && directory.join("terraform.tfstate").exists() {
        let provider = Provider::ensure(home)?;
        provider::forget_lock(&directory)?;
        tofu(home, &provider, &directory, "init", &["-input=false"])?;
        // Protection is lifted first, as anybody has to.
        let lifted = ["-input=false", "-auto-approve", "-var=protected=false"];
        tofu(home, &provider, &directory, "apply", &lifted)?;
        tofu(home, &provider, &directory, "destroy", &lifted)?;
    }
    if let Some(lab) = lab {
        lab.down()?;
    }
    match fs::remove_dir_all(&directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::File {
            path: directory,
            source,
        }),
        _ => Ok(()),
    }
}

fn timed<T>(
    times: &mut Vec<(&'static str, Duration)>,
    what: &'static str,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let begun = Instant::now();
    let result = act()?;
    times.push((what, begun.elapsed()));
    Ok(result)
}

fn hosts(home: &Home) -> Result<Lab, Error> {
    let spec = || HostSpec::new(Release::Bookworm);
    let mut lab = match Lab::open(home, DEFAULT_LAB) {
        Ok(lab) => lab,
        Err(lab::Error::NotUp { .. }) => {
            let hosts = std::iter::repeat_with(spec).take(HOSTS).collect();
            let spec = Spec {
                name: DEFAULT_LAB.to_owned(),
                hosts,
                is_ephemeral: false,
            };
            return Ok(Lab::up(home, &spec)?);
        }
        Err(error) => return Err(error.into()),
    };
    let missing: Vec<_> = std::iter::repeat_with(spec)
        .take(HOSTS.saturating_sub(lab.hosts().len()))
        .collect();
    if !missing.is_empty() {
        lab.add(&missing)?;
    }
    for host in lab.hosts().iter().filter(|host| !host.is_on()) {
        host.boot().map_err(|source| Error::Look { source })?;
    }
    Ok(lab)
}

/// The quickstart, copied out of the repository, with the lab's hosts as its variables.
fn configuration(home: &Home, lab: &Lab, archives: &Path) -> Result<PathBuf, Error> {
    let directory = home.demo();
    home::make_directory(&directory)?;
    let copy = |name: &str| {
        let from = repository::root().join("examples/quickstart").join(name);
        fs::copy(&from, directory.join(name))
            .map(drop)
            .map_err(|source| Error::File { path: from, source })
    };
    copy("main.tf")?;
    let hosts = &lab.hosts()[..HOSTS];
    let variables = json!({
        "hosts": hosts.iter().map(|host| host.address().to_string()).collect::<Vec<_>>(),
        "ssh_user": hosts[0].user(),
        "private_key_file": hosts[0].private_key_file(),
        "known_hosts_file": hosts[0].known_hosts_file(),
        "download_mirror": archives,
    });
    let path = directory.join("terraform.tfvars.json");
    fs::write(&path, format!("{variables:#}\n")).map_err(|source| Error::File { path, source })?;
    provider::forget_lock(&directory)?;
    Ok(directory)
}

/// Runs the CLI; what it prints is the demo.
fn tofu(
    home: &Home,
    provider: &Provider,
    directory: &Path,
    step: &'static str,
    arguments: &[&str],
) -> Result<(), Error> {
    let mut tofu = provider.command(home, Cli::Tofu, directory)?;
    tofu.arg(step)
        .args(arguments)
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    command::output(&mut tofu)
        .map(drop)
        .map_err(|source| Error::Tofu { step, source })
}

/// Asks etcd itself, on a host, with the client certificate that the provider made there.
fn look(
    home: &Home,
    provider: &Provider,
    directory: &Path,
    lab: &Lab,
) -> Result<Vec<String>, Error> {
    let mut tofu = provider.command(home, Cli::Tofu, directory)?;
    let text = command::output(tofu.args(["output", "-json"])).map_err(|source| Error::Tofu {
        step: "output",
        source,
    })?;
    let outputs: Outputs =
        serde_json::from_str(&text).map_err(|source| Error::Outputs { source })?;
    let certificate = &outputs.client_certificate.value;
    let flags = [
        format!("--endpoints={}", outputs.endpoints.value.join(",")),
        format!("--cacert={}", certificate.ca),
        format!("--cert={}", certificate.certificate),
        format!("--key={}", certificate.key),
        "--write-out=table".to_owned(),
    ];
    let questions = [
        ["member", "list"],
        ["endpoint", "health"],
        ["endpoint", "status"],
    ];
    questions
        .iter()
        .map(|question| {
            let mut argv = vec![ETCDCTL];
            argv.extend(flags.iter().map(String::as_str));
            argv.extend(question);
            lab.hosts()[0]
                .root_text(&argv)
                .map_err(|source| Error::Look { source })
        })
        .collect()
}
