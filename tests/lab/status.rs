//! Shows what there is, to a person or to a program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::Outcome;
use lab::program::{self, Program};
use lab::{Family, Home, Host, Lab, Release};

/// `cargo lab status --json`. Fields are added, never renamed.
#[derive(Debug, Serialize)]
struct Status {
    home: PathBuf,
    demo_dir: PathBuf,
    archives_dir: PathBuf,
    /// Directory of the binaries by program and version; only those that are built.
    programs: BTreeMap<String, BTreeMap<String, PathBuf>>,
    labs: Vec<LabStatus>,
}

#[derive(Debug, Serialize)]
struct LabStatus {
    name: String,
    directory: PathBuf,
    bridge: Option<String>,
    /// Addresses of this machine on the bridge.
    gateway: Option<String>,
    gateway_v6: Option<String>,
    hosts: Vec<HostStatus>,
}

#[derive(Debug, Serialize)]
struct HostStatus {
    name: String,
    host_name: String,
    address: String,
    user: String,
    private_key_file: PathBuf,
    known_hosts_file: PathBuf,
    sudo_password_file: Option<PathBuf>,
    release: Release,
    is_on: bool,
    root_dir: PathBuf,
    console_file: PathBuf,
}

/// Prints the lab of this name, or all of them.
pub(crate) fn print(home: &Home, lab: Option<&str>, json: bool) -> Outcome {
    let names = lab.map_or_else(|| Lab::names(home), |name| Ok(vec![name.to_owned()]))?;
    let labs = names
        .iter()
        .map(|name| Ok(lab_status(&Lab::open(home, name)?)))
        .collect::<Result<_, lab::lab::Error>>()?;
    let status = Status {
        home: home.path().to_owned(),
        demo_dir: home.demo(),
        archives_dir: home.archives(),
        programs: programs(home)?,
        labs,
    };
    if json {
        crate::say!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(ExitCode::SUCCESS);
    }
    if status.labs.is_empty() {
        crate::say!("no lab is up (`cargo lab up` makes one)");
    }
    for lab in &status.labs {
        crate::say!(
            "lab {} on {}",
            lab.name,
            lab.bridge.as_deref().unwrap_or("no bridge")
        );
        show(&lab.hosts);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a lab's hosts, one a line.
pub(crate) fn print_hosts(lab: &Lab) {
    show(&lab.hosts().iter().map(host_status).collect::<Vec<_>>());
}

fn show(hosts: &[HostStatus]) {
    for host in hosts {
        crate::say!(
            "  {:<12} {:<24} {:<9} {:<8} {}",
            host.host_name,
            host.address,
            host.release,
            host.user,
            if host.is_on { "on" } else { "off" }
        );
    }
}

fn programs(home: &Home) -> Result<BTreeMap<String, BTreeMap<String, PathBuf>>, program::Error> {
    let mut built: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for program in Program::all()? {
        let binaries = program.directory(home)?.join("bin");
        if binaries.is_dir() {
            built
                .entry(program.name)
                .or_default()
                .insert(program.version, binaries);
        }
    }
    Ok(built)
}

fn lab_status(lab: &Lab) -> LabStatus {
    let gateway = |family| {
        lab.network()
            .map(|network| network.gateway(family).to_string())
    };
    LabStatus {
        name: lab.name().to_owned(),
        directory: lab.directory().to_owned(),
        bridge: lab.network().map(lab::bridge::Network::bridge),
        gateway: gateway(Family::V4),
        gateway_v6: gateway(Family::V6),
        hosts: lab.hosts().iter().map(host_status).collect(),
    }
}

fn host_status(host: &Host) -> HostStatus {
    HostStatus {
        name: host.name(),
        host_name: host.host_name().to_owned(),
        address: host.address().to_string(),
        user: host.user().to_owned(),
        private_key_file: host.private_key_file(),
        known_hosts_file: host.known_hosts_file(),
        sudo_password_file: host.sudo_password_file(),
        release: host.spec().release,
        is_on: host.is_on(),
        root_dir: host.root_directory(),
        console_file: host.console(),
    }
}
