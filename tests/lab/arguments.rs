//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

use lab::spec::DEFAULT_LAB;
use lab::{Access, HostSpec, Release};

/// Real hosts and real programs for tests, demo and bench.
#[derive(Debug, Parser)]
#[command(
    name = "cargo lab",
    bin_name = "cargo lab",
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Builds everything, makes a healthy cluster on three hosts and shows it.
    Demo {
        /// Removes the cluster, the hosts and the demo's directory instead.
        #[arg(long)]
        destroy: bool,
    },
    /// Measures the provider beside the floor of this machine and writes docs/performance.md.
    Bench {
        /// How often everything is measured.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
        runs: u8,
    },
    /// Builds and installs the provider; prints where as JSON.
    Provider,
    /// Runs format, lint, tests, real, acceptance and dependencies, or the stages named.
    Test {
        /// Stages.
        stages: Vec<String>,
    },
    /// Runs OpenTofu with the built provider installed, in the current directory.
    Tofu {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs Terraform with the built provider installed, in the current directory.
    Terraform {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs Terragrunt with OpenTofu and all providers of the examples installed, in the current directory.
    Terragrunt {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Brings hosts up and shows them.
    Up(Up),
    /// Ends a lab's hosts and removes all that was made for it.
    Down {
        /// Name of the lab.
        #[arg(long, default_value = DEFAULT_LAB)]
        lab: String,
        /// All labs.
        #[arg(long, conflicts_with = "lab")]
        all: bool,
    },
    /// Builds the real programs and packs their release archives.
    Programs {
        /// Only these programs, and no archives.
        names: Vec<String>,
    },
    /// Shows labs and hosts.
    Status {
        /// Only this lab.
        #[arg(long)]
        lab: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Logs in as the host's user, or runs a command as that user.
    Ssh {
        #[command(flatten)]
        target: Target,
        /// Command, joined by spaces as ssh does.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs a command as root on a host, without SSH.
    Root {
        #[command(flatten)]
        target: Target,
        /// Command and arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Ends a host as a power failure does.
    PowerOff {
        #[command(flatten)]
        target: Target,
    },
    /// Starts a host that is off.
    Boot {
        #[command(flatten)]
        target: Target,
    },
    /// Restarts a host in order.
    Reboot {
        #[command(flatten)]
        target: Target,
    },
    /// Cuts a host's network.
    Cut {
        #[command(flatten)]
        target: Target,
    },
    /// Joins a host's network again.
    Join {
        #[command(flatten)]
        target: Target,
    },
    /// Fills a host's own disk.
    Fill {
        #[command(flatten)]
        target: Target,
        /// Space that is left, such as 1M.
        #[arg(long, default_value = "0", value_parser = size)]
        free: u64,
    },
    /// Frees a host's disk again.
    Free {
        #[command(flatten)]
        target: Target,
    },
}

/// A host of a lab.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Name of the lab.
    #[arg(long, default_value = DEFAULT_LAB)]
    pub(crate) lab: String,
    /// Name of the host: its number.
    pub(crate) host: String,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Up {
    /// Name of the lab.
    #[arg(long, default_value = DEFAULT_LAB)]
    pub(crate) lab: String,
    /// Number of hosts.
    #[arg(long, default_value_t = 3)]
    hosts: usize,
    /// Debian release of the hosts; several, separated by commas, are given out in turn.
    #[arg(long, default_value = "bookworm", value_delimiter = ',')]
    release: Vec<ReleaseName>,
    /// IPv6 addresses only.
    #[arg(long)]
    ipv6: bool,
    /// A user other than root, who may run everything by sudo.
    #[arg(long)]
    user: Option<String>,
    /// The user's sudo asks for a password.
    #[arg(long, requires = "user", conflicts_with = "no_sudo")]
    sudo_password: bool,
    /// The user has no sudo.
    #[arg(long, requires = "user")]
    no_sudo: bool,
    /// A disk of its own for each host's /var, such as 512M.
    #[arg(long, value_parser = size)]
    disk: Option<u64>,
    /// /tmp, /var/tmp and /home are mounted noexec.
    #[arg(long)]
    noexec: bool,
    /// /usr is mounted read-only.
    #[arg(long)]
    read_only_usr: bool,
    /// Packages that the hosts do not have.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Packages that the hosts have more than usual.
    #[arg(long, value_delimiter = ',')]
    with: Vec<String>,
    /// Shows the lab as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReleaseName {
    Bullseye,
    Bookworm,
    Trixie,
}

impl From<ReleaseName> for Release {
    fn from(name: ReleaseName) -> Self {
        match name {
            ReleaseName::Bullseye => Self::Bullseye,
            ReleaseName::Bookworm => Self::Bookworm,
            ReleaseName::Trixie => Self::Trixie,
        }
    }
}

impl Up {
    /// The hosts that are asked for.
    pub(crate) fn specs(&self) -> Vec<HostSpec> {
        let access = match &self.user {
            None => Access::Root,
            Some(user) if self.sudo_password => Access::SudoWithPassword(user.clone()),
            Some(user) if self.no_sudo => Access::WithoutSudo(user.clone()),
            Some(user) => Access::Sudo(user.clone()),
        };
        let releases = self.release.iter().copied().cycle();
        releases
            .take(self.hosts)
            .map(|release| {
                let spec = HostSpec::new(release.into()).access(access.clone());
                let spec = if self.ipv6 { spec.v6() } else { spec };
                HostSpec {
                    disk_bytes: self.disk,
                    is_noexec: self.noexec,
                    has_read_only_usr: self.read_only_usr,
                    without_packages: self.without.clone(),
                    with_packages: self.with.clone(),
                    ..spec
                }
            })
            .collect()
    }
}

/// Bytes, with K, M or G for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.chars().last() {
        Some('K') => (&text[..text.len() - 1], 1 << 10),
        Some('M') => (&text[..text.len() - 1], 1 << 20),
        Some('G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "a number, with K, M or G".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "too large".to_owned())
}
