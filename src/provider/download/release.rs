//! What upstream's release archives are called and hold.

use std::fmt;

use semver::Version;

/// A program that hosts need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Program {
    /// etcd with etcdctl and etcdutl.
    Etcd,
    /// The certificate authority.
    StepCa,
    /// The step CLI.
    Step,
}

/// An architecture in the words of Go's release archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Architecture {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl Architecture {
    /// From what `uname -m` says on a host; `None` if upstream has no archive for it.
    pub(crate) fn from_machine(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// One archive of upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// What is in it.
    pub(crate) program: Program,
    /// Its version, without `v`.
    pub(crate) version: Version,
    /// What it runs on.
    pub(crate) architecture: Architecture,
}

impl Release {
    /// Name of the archive, as upstream publishes it.
    pub(crate) fn file_name(&self) -> String {
        let Self {
            program,
            version,
            architecture,
        } = self;
        match program {
            Program::Etcd => format!("etcd-v{version}-linux-{architecture}.tar.gz"),
            Program::StepCa => format!("step-ca_linux_{version}_{architecture}.tar.gz"),
            Program::Step => format!("step_linux_{version}_{architecture}.tar.gz"),
        }
    }

    /// Path of the archive in a mirror: `etcd/v3.5.35/etcd-v3.5.35-linux-amd64.tar.gz`.
    pub(crate) fn mirror_path(&self) -> String {
        format!(
            "{}/v{}/{}",
            self.mirror_folder(),
            self.version,
            self.file_name()
        )
    }

    /// Path of the checksum file in a mirror.
    pub(crate) fn mirror_checksum_path(&self) -> String {
        format!(
            "{}/v{}/{}",
            self.mirror_folder(),
            self.version,
            self.checksum_file_name()
        )
    }

    /// Folder of the release at upstream, without a slash at the end.
    pub(crate) fn upstream_folder(&self) -> String {
        let repository = match self.program {
            Program::Etcd => "etcd-io/etcd",
            Program::StepCa => "smallstep/certificates",
            Program::Step => "smallstep/cli",
        };
        format!(
            "https://github.com/{repository}/releases/download/v{}",
            self.version
        )
    }

    /// Name of the file with the checksums of a release.
    pub(crate) fn checksum_file_name(&self) -> &'static str {
        match self.program {
            Program::Etcd => "SHA256SUMS",
            Program::StepCa | Program::Step => "checksums.txt",
        }
    }

    /// Programs in the archive: path in it, and name that they get on a host.
    pub(crate) fn programs(&self) -> Vec<(String, &'static str)> {
        let Self {
            program,
            version,
            architecture,
        } = self;
        match program {
            Program::Etcd => ["etcd", "etcdctl", "etcdutl"]
                .map(|name| (format!("etcd-v{version}-linux-{architecture}/{name}"), name))
                .to_vec(),
            Program::StepCa => vec![(format!("step-ca_{version}/step-ca"), "step-ca")],
            Program::Step => vec![(format!("step_{version}/bin/step"), "step")],
        }
    }

    fn mirror_folder(&self) -> &'static str {
        match self.program {
            Program::Etcd => "etcd",
            Program::StepCa => "step-ca",
            Program::Step => "step",
        }
    }
}
