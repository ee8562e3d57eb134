//! `cargo lab bench`: what the provider takes, beside the floor that nothing on the same machine can go below.
//!
//! Each run begins with hosts that have never seen the provider. The figures are medians.

mod floor;
mod image;
mod memory;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::archive;
use crate::base::Release;
use crate::command::{self, command};
use crate::home::{self, Home};
use crate::host;
use crate::lab::{self, Lab};
use crate::prerequisite;
use crate::program;
use crate::progress;
use crate::provider::{self, Cli, Provider};
use crate::repository;
use crate::spec::{HostSpec, Spec};

/// Hosts, and so members of each cluster.
const HOSTS: usize = 3;
/// What go-plugin tells a provider to show that it was started by a CLI (`Handshake` in both CLIs' `plugin/serve.go`).
const COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);

/// A figure could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// What the machine lacks.
    #[error(transparent)]
    Prerequisite(#[from] prerequisite::Error),
    /// The release archives.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// A real program.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// The provider or the CLI.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// The hosts.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// Something on a host.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// A program that is measured failed.
    #[error("measure {what}")]
    Measure {
        /// The figure.
        what: &'static str,
        /// What failed.
        source: command::Error,
    },
    /// A condition that is measured did not come about.
    #[error("measure {what}: not within {} s", deadline.as_secs())]
    TooLong {
        /// The figure.
        what: &'static str,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// A file.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One figure of all runs, in seconds or MiB.
#[derive(Debug)]
pub struct Figure {
    /// What is measured.
    pub what: &'static str,
    /// The figure to reach, as text with its unit.
    pub goal: &'static str,
    /// Unit of the values.
    pub unit: &'static str,
    /// One value a run.
    pub values: Vec<f64>,
}

impl Figure {
    fn new(what: &'static str, goal: &'static str, unit: &'static str) -> Self {
        Self {
            what,
            goal,
            unit,
            values: Vec::new(),
        }
    }

    /// The middle value; of an even number the lower of the two in the middle.
    pub fn median(&self) -> Option<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len().checked_sub(1)? / 2).copied()
    }
}

/// A figure of the provider and the floor beside it, if there is one.
#[derive(Debug)]
pub struct Row {
    /// The provider's figure.
    pub figure: Figure,
    /// What cannot be undercut.
    pub floor: Option<Figure>,
}

/// Measures everything `runs` times.
pub fn run(home: &Home, runs: usize) -> Result<Vec<Row>, Error> {
    prerequisite::for_hosts(home)?;
    let archives = archive::ensure(home)?;
    let provider = Provider::ensure(home)?;
    let servers = image::Servers::ensure(home)?;
    let mut rows = rows();
    for number in 1..=runs {
        progress::say(&format!("run {number} of {runs}"));
        let values = one_run(home, &provider, &servers, &archives)?;
        for (row, (value, floor)) in rows.iter_mut().zip(values) {
            row.figure.values.push(value);
            if let (Some(figure), Some(value)) = (row.floor.as_mut(), floor) {
                figure.values.push(value);
            }
        }
    }
    Ok(rows)
}

fn rows() -> Vec<Row> {
    let row = |what, goal, unit, floor: Option<&'static str>| Row {
        figure: Figure::new(what, goal, unit),
        floor: floor.map(|what| Figure::new(what, "", unit)),
    };
    vec![
        row(
            "Create a CA and 3 members from clean hosts",
            "10 s",
            "s",
            Some("etcd alone: start of 3 members to healthy"),
        ),
        row(
            "Second cluster on the same hosts",
            "6 s",
            "s",
            Some("etcd alone: start of 3 members to healthy"),
        ),
        row(
            "Plan without change",
            "1 s",
            "s",
            Some("tofu plan of nothing and one SSH login"),
        ),
        row(
            "Start of the provider to its handshake",
            "50 ms",
            "ms",
            None,
        ),
        row("Resident memory in apply", "60 MiB", "MiB", None),
        row(
            "What the first costs more: a CA, programs on the hosts",
            "",
            "s",
            Some("scp of the same archives"),
        ),
        row(
            "Plan without change of an image on 3 nodes",
            "0.5 s",
            "s",
            Some("tofu plan of nothing"),
        ),
        row(
            "An image of 1 GiB from the factory to 3 storages",
            "1.25 times the floor",
            "s",
            Some("curl and sha256sum: fetch it, send it to 3 nodes at once"),
        ),
        row("Resident memory meanwhile", "64 MiB", "MiB", None),
        row(
            "Builds and uploads for a second cluster on that image",
            "0",
            "",
            None,
        ),
    ]
}

/// Values in the order of [`rows`], each with its floor.
fn one_run(
    home: &Home,
    provider: &Provider,
    servers: &image::Servers,
    archives: &Path,
) -> Result<Vec<(f64, Option<f64>)>, Error> {
    let hosts = std::iter::repeat_with(|| HostSpec::new(Release::Bookworm))
        .take(HOSTS)
        .collect();
    let name = format!("bench-{}", std::process::id());
    let lab = Lab::up(home, &Spec::ephemeral(&name, hosts))?;
    let values = measure(home, provider, servers, archives, &lab);
    lab.down()?;
    values
}

fn measure(
    home: &Home,
    provider: &Provider,
    servers: &image::Servers,
    archives: &Path,
    lab: &Lab,
) -> Result<Vec<(f64, Option<f64>)>, Error> {
    let login = floor::login(lab)?;
    let copy = floor::copy(lab, archives)?;
    let alone = floor::etcd_alone(home, lab)?;
    let nothing = floor::plan_of_nothing(home, provider, lab)?;

    let directory = configuration(lab, archives)?;
    let tofu = |what: &'static str, arguments: &[&str]| {
        let mut tofu = provider.command(home, Cli::Tofu, &directory)?;
        tofu.args(arguments);
        timed(|| {
            command::output(&mut tofu)
                .map(drop)
                .map_err(|source| Error::Measure { what, source })
        })
    };
    tofu("init", &["init", "-input=false"])?;
    let (create, peak) = memory::watched(&provider.binary, || {
        tofu("create", &["apply", "-input=false", "-auto-approve"])
    });
    let create = create?;
    let second = tofu(
        "second cluster",
        &["apply", "-input=false", "-auto-approve", "-var=second=true"],
    )?;
    // Exit code 2 would mean that a change is planned: that is no plan without change.
    let plan = tofu(
        "plan",
        &[
            "plan",
            "-input=false",
            "-detailed-exitcode",
            "-var=second=true",
        ],
    )?;
    let handshake = handshake(&provider.binary)?;
    let image = image::measure(home, provider, servers, &lab.directory().join("image"))?;
    Ok(vec![
        (create, Some(alone)),
        (second, Some(alone)),
        (plan, Some(nothing + login)),
        (handshake * 1000.0, None),
        (peak, None),
        (create - second, Some(copy)),
        (image.plan, Some(nothing)),
        (image.apply, Some(image.curl)),
        (image.peak, None),
        (image.second, None),
    ])
}

fn configuration(lab: &Lab, archives: &Path) -> Result<PathBuf, Error> {
    let directory = lab.directory().join("bench");
    home::make_directory(&directory)?;
    let from = repository::root().join("tests/lab/bench/main.tf");
    fs::copy(&from, directory.join("main.tf"))
        .map_err(|source| Error::File { path: from, source })?;
    let hosts = lab.hosts();
    let variables = json!({
        "hosts": hosts.iter().map(|host| host.address().to_string()).collect::<Vec<_>>(),
        "private_key_file": hosts[0].private_key_file(),
        "known_hosts_file": hosts[0].known_hosts_file(),
        "download_mirror": archives,
    });
    let path = directory.join("terraform.tfvars.json");
    fs::write(&path, format!("{variables:#}\n")).map_err(|source| Error::File { path, source })?;
    Ok(directory)
}

/// Seconds from the provider's start until it says where it listens.
fn handshake(binary: &Path) -> Result<f64, Error> {
    let failed = |source| Error::File {
        path: binary.to_owned(),
        source,
    };
    let mut provider = command(&[binary]);
    provider
        .env(COOKIE.0, COOKIE.1)
        .env("PLUGIN_PROTOCOL_VERSIONS", "5");
    provider.stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = provider.spawn().map_err(failed)?;
    let stdout = child.stdout.take().expect("the provider's output is piped");
    let read = BufReader::new(stdout).read_line(&mut String::new());
    let seconds = begun.elapsed().as_secs_f64();
    child.kill().and_then(|()| child.wait()).map_err(failed)?;
    read.map_err(failed)?;
    Ok(seconds)
}

fn timed(act: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The table as Markdown, with what it was measured on.
pub fn markdown(rows: &[Row]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let runs = rows
        .iter()
        .map(|row| row.figure.values.len())
        .max()
        .unwrap_or_default();
    let head = format!(
        "# Performance\n\nWritten by `cargo lab bench`: medians of {runs} runs on {cores} cores, three Debian 12 hosts, \
         OpenTofu, the release build of the provider.\nThe floor is what nothing on the same machine can go below.\n\n\
         | What | Measured | Goal | Floor | The floor is |\n|---|---|---|---|---|\n"
    );
    head + &rows.iter().map(line).collect::<String>()
}

fn line(row: &Row) -> String {
    let shown = |figure: &Figure| {
        figure
            .median()
            .map_or_else(String::new, |value| format!("{value:.1} {}", figure.unit))
    };
    format!(
        "| {} | {} | {} | {} | {} |\n",
        row.figure.what,
        shown(&row.figure),
        row.figure.goal,
        row.floor.as_ref().map(shown).unwrap_or_default(),
        row.floor.as_ref().map_or("", |floor| floor.what),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_value() {
        let figure = |values: &[f64]| Figure {
            what: "",
            goal: "",
            unit: "s",
            values: values.to_vec(),
        };
        assert_eq!(figure(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(figure(&[4.0, 1.0]).median(), Some(1.0));
        assert_eq!(figure(&[]).median(), None);
    }
}
