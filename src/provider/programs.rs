//! Programs on hosts: the archive from the controller, laid down by the helper.

use host::proto::{InstallHeader, InstallProgram, Link};
use planner::name::NodeKey;

use crate::{
    common::ensured,
    download::{Architecture, Program, Release, Wanted},
    executor::Ensure,
    hosts::Hosts,
    report::Trouble,
};

/// What was installed.
pub(crate) struct Installed {
    pub(crate) ensure: Ensure,
    /// Architecture in the words of release archives, and SHA-256 of the archive.
    pub(crate) archive: (String, String),
}

/// Programs of a release on the host of a node.
pub(crate) struct Wish<'a> {
    pub(crate) owner: &'a str,
    pub(crate) id: &'a str,
    pub(crate) program: Program,
    pub(crate) version: &'a semver::Version,
    /// As `uname -m` says it on the host.
    pub(crate) machine: &'a str,
    pub(crate) sha256: Option<Wanted>,
}

impl Wish<'_> {
    /// `/opt/etcd/3.5.35`.
    fn directory(&self) -> String {
        let folder = match self.program {
            Program::Etcd => "etcd",
            Program::StepCa => "step-ca",
            Program::Step => "step",
        };
        format!("/opt/{folder}/{}", self.version)
    }

    /// Links to a program below /opt/bin, where people and units look.
    fn links(&self, name: &str) -> Vec<Link> {
        let link = |path: String, unless_foreign| Link {
            path,
            target: format!("{}/{name}", self.directory()),
            unless_foreign,
            shared: true,
        };
        let plain = || format!("/opt/bin/{name}");
        match (self.program, name) {
            (Program::Etcd, "etcd") => vec![link(format!("/opt/bin/etcd-{}", self.version), false)],
            // Units name the path in full, so a program of somebody else may keep these.
            (Program::Etcd | Program::Step, _) => vec![link(plain(), true)],
            (Program::StepCa, _) => vec![link(plain(), false)],
        }
    }
}

/// Sends the archive, unless the host has what is in it already.
pub(crate) async fn install(
    hosts: &Hosts,
    key: &NodeKey,
    wish: &Wish<'_>,
) -> Result<Installed, Trouble> {
    let architecture =
        Architecture::from_machine(wish.machine).ok_or_else(|| Trouble::Refused {
            why: format!("there are no programs for {}", wish.machine),
            hint: "use hosts of x86_64 or aarch64.".to_owned(),
        })?;
    let release = Release {
        program: wish.program,
        version: wish.version.clone(),
        architecture,
    };
    let archive = hosts
        .context()
        .downloads
        .archive(&release, wish.sha256.as_ref())
        .await?;
    let programs = release
        .programs()
        .into_iter()
        .map(|(member, name)| InstallProgram {
            member,
            name: name.to_owned(),
            links: wish.links(name),
        });
    let header = InstallHeader {
        owner: wish.owner.to_owned(),
        id: wish.id.to_owned(),
        directory: wish.directory(),
        archive_sha256: archive.sha256.clone(),
        programs: programs.collect(),
    };
    let file = tokio::fs::File::open(&archive.path)
        .await
        .map_err(|source| crate::download::Error::File {
            path: archive.path.clone(),
            source,
        })?;
    let node = hosts.node(key).await?;
    let response = node
        .install(header, file)
        .await
        .map_err(|source| Trouble::Call {
            key: key.clone(),
            source: Box::new(source),
        })?;
    Ok(Installed {
        ensure: ensured(response.outcome()),
        archive: (architecture.to_string(), archive.sha256),
    })
}
