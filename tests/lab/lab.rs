//! A lab: hosts on a bridge of their own, made, found again by another process, and taken down.
//!
//! Everything that exists outside the lab's directory (processes, mounts, the bridge, control groups) is found from that
//! directory, and the directory is the first thing made and the last removed. So whatever a killed run left behind, a
//! later one can remove.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::base;
use crate::bridge::{self, Network};
use crate::cgroup;
use crate::credentials;
use crate::home::{self, Home};
use crate::host::{self, Host};
use crate::overlay;
use crate::process::Process;
use crate::progress;
use crate::record::{self, FORMAT, Record};
use crate::spec::{Access, HostSpec, Spec};

/// The most hosts of a lab: their addresses share the last byte with the bridge's.
const MOST_HOSTS: usize = 99;

/// A lab could not be brought up, found or taken down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's home.
    #[error(transparent)]
    Home(#[from] home::Error),
    /// Its bridge.
    #[error(transparent)]
    Bridge(#[from] bridge::Error),
    /// The base of its hosts.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// Control groups of its hosts.
    #[error(transparent)]
    ControlGroup(#[from] cgroup::Error),
    /// Names become directory and host names.
    #[error("lab name {name:?}: 1 to 32 of a-z, 0-9 and hyphen, not first or last")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// No hosts, or too many.
    #[error("{hosts} hosts: a lab has 1 to {MOST_HOSTS}")]
    InvalidSize {
        /// How many were asked for.
        hosts: usize,
    },
    /// A lab of this name is there.
    #[error("lab {name} is up already (`cargo lab down --lab {name}` removes it)")]
    IsUp {
        /// The name.
        name: String,
    },
    /// A lab of this name is not there.
    #[error("no lab {name}: `cargo lab up --lab {name}` makes one")]
    NotUp {
        /// The name.
        name: String,
    },
    /// The lab has no such host.
    #[error("lab {lab} has no host {host}")]
    NoHost {
        /// The lab.
        lab: String,
        /// The name asked for.
        host: String,
    },
    /// A file of the lab's directory.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record of the lab.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The directory was made by another version of the lab.
    #[error(
        "lab {name} has format {format}, this lab knows {FORMAT}: take it down with the version that made it"
    )]
    Format {
        /// The lab.
        name: String,
        /// Its format.
        format: u32,
    },
    /// The key that logs in, or the password of sudo.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// One of its hosts.
    #[error("host {host} of lab {lab}")]
    Host {
        /// The lab.
        lab: String,
        /// The host.
        host: String,
        /// What failed.
        source: Box<host::Error>,
    },
    /// Something of the lab is mounted still.
    #[error("unmount what lab {name} mounted")]
    Unmount {
        /// The lab.
        name: String,
        /// What failed.
        source: overlay::Error,
    },
}

/// A lab that is up. Dropping it takes nothing down.
#[derive(Debug)]
pub struct Lab {
    home: Home,
    name: String,
    directory: PathBuf,
    record: Record,
    hosts: Vec<Host>,
    times: Vec<Duration>,
}

impl Lab {
    /// Brings a lab up: hosts side by side, each until its systemd has finished starting and its sshd answers.
    ///
    /// # Errors
    /// If any host fails; what was made is removed then.
    pub fn up(home: &Home, spec: &Spec) -> Result<Self, Error> {
        check_name(&spec.name)?;
        check_size(spec.hosts.len())?;
        sweep(home)?;
        let _lock = home.lock(&format!("lab-{}", spec.name))?;
        let directory = home.labs().join(&spec.name);
        let myself = Process::current();
        let owner = spec.is_ephemeral.then(|| myself.clone());
        let record = Record::new(owner, Some(myself));
        let mut lab = Self {
            home: home.clone(),
            name: spec.name.clone(),
            record,
            hosts: Vec::new(),
            times: Vec::new(),
            directory,
        };
        {
            let _all = home.lock("labs")?;
            if lab.directory.exists() {
                return Err(Error::IsUp { name: lab.name });
            }
            home::make_directory(&lab.directory)?;
            lab.save()?;
        }
        match lab.make(&spec.hosts) {
            Ok(()) => Ok(lab),
            Err(error) => {
                lab.remove()?;
                Err(error)
            }
        }
    }

    /// Finds a lab that is up.
    pub fn open(home: &Home, name: &str) -> Result<Self, Error> {
        check_name(name)?;
        let directory = home.labs().join(name);
        let Some(record) = Record::load(&directory)? else {
            return Err(Error::NotUp {
                name: name.to_owned(),
            });
        };
        if record.format != FORMAT {
            return Err(Error::Format {
                name: name.to_owned(),
                format: record.format,
            });
        }
        let mut lab = Self {
            home: home.clone(),
            name: name.to_owned(),
            record,
            hosts: Vec::new(),
            times: Vec::new(),
            directory,
        };
        lab.hosts = lab.recorded_hosts();
        Ok(lab)
    }

    /// Names of all labs of this home, sorted.
    pub fn names(home: &Home) -> Result<Vec<String>, Error> {
        let labs = home.labs();
        let failed = |source| Error::File {
            path: labs.clone(),
            source,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&labs).map_err(failed)? {
            names.push(
                entry
                    .map_err(failed)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort();
        Ok(names)
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The lab's network; its gateway is where hosts reach this machine.
    pub fn network(&self) -> Option<Network> {
        self.record.network
    }

    /// Its hosts, in the order in which they were asked for.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Time that each host took until it was up, in the order of the hosts; empty for a lab that was found.
    pub fn times(&self) -> &[Duration] {
        &self.times
    }

    /// The host of this name: its number or what it calls itself.
    pub fn host(&self, name: &str) -> Result<&Host, Error> {
        self.hosts
            .iter()
            .find(|host| host.name() == name || host.host_name() == name)
            .ok_or_else(|| Error::NoHost {
                lab: self.name.clone(),
                host: name.to_owned(),
            })
    }

    /// Brings up more hosts in a lab that is up. Those that are up before stay if one of the new ones fails.
    pub fn add(&mut self, specs: &[HostSpec]) -> Result<(), Error> {
        check_size(self.hosts.len() + specs.len())?;
        let _lock = self.home.lock(&format!("lab-{}", self.name))?;
        self.make_hosts(specs)
    }

    /// Takes the lab down: ends its hosts and removes all that was made for it.
    pub fn down(mut self) -> Result<(), Error> {
        let _lock = self.home.lock(&format!("lab-{}", self.name))?;
        self.remove()
    }

    fn make(&mut self, specs: &[HostSpec]) -> Result<(), Error> {
        // Bases take a minute each the first time: before the network is claimed, and one after another.
        for spec in specs {
            base::ensure(&self.home, spec.release)?;
        }
        self.record.network = Some(Network::claim(&self.owner())?);
        self.save()?;
        credentials::make_key(&self.directory, &self.name)?;
        self.make_hosts(specs)?;
        self.record.maker = None;
        self.save()
    }

    fn make_hosts(&mut self, specs: &[HostSpec]) -> Result<(), Error> {
        for spec in specs {
            let number = self.record.hosts.len() + 1;
            let number = u8::try_from(number).expect("a lab has at most 99 hosts");
            self.record.hosts.push(host::Record {
                number,
                spec: spec.clone(),
            });
        }
        if specs
            .iter()
            .any(|spec| matches!(spec.access, Access::SudoWithPassword(_)))
        {
            credentials::ensure_password(&self.directory)?;
        }
        // Known before they are made, so that a killed run's hosts are found.
        self.save()?;
        let before = self.hosts.len();
        self.hosts = self.recorded_hosts();
        let key = self.directory.join("id_ed25519.pub");
        let public_key =
            fs::read_to_string(&key).map_err(|source| Error::File { path: key, source })?;
        let begun = Instant::now();
        let results: Vec<Result<Duration, Error>> = thread::scope(|scope| {
            let makers: Vec<_> = self.hosts[before..]
                .iter()
                .map(|host| {
                    let public_key = &public_key;
                    let name = &self.name;
                    scope.spawn(move || {
                        host.make(public_key).map_err(|source| Error::Host {
                            lab: name.clone(),
                            host: host.name(),
                            source: Box::new(source),
                        })?;
                        let time = begun.elapsed();
                        progress::say(&format!(
                            "host {} is up at {} (Debian {}, {:.1} s)",
                            host.host_name(),
                            host.address(),
                            host.spec().release,
                            time.as_secs_f64()
                        ));
                        Ok(time)
                    })
                })
                .collect();
            makers
                .into_iter()
                .map(|maker| maker.join().expect("a host's maker does not panic"))
                .collect()
        });
        for result in results {
            self.times.push(result?);
        }
        self.write_known_hosts()
    }

    fn write_known_hosts(&self) -> Result<(), Error> {
        let mut text = String::new();
        for host in &self.hosts {
            let line = host
                .known_host()
                .map_err(|source| self.host_failed(host, source))?;
            text.push_str(&line);
        }
        Ok(record::write_whole(
            &self.directory.join("known_hosts"),
            text.as_bytes(),
        )?)
    }

    fn remove(&mut self) -> Result<(), Error> {
        for host in self.recorded_hosts() {
            host.end()
                .map_err(|source| self.host_failed(&host, source))?;
        }
        // Mounts of hosts that the record does not know do not exist, but removing files through one would be bad.
        overlay::unmount(&self.directory).map_err(|source| Error::Unmount {
            name: self.name.clone(),
            source,
        })?;
        for network in Network::all_claimed_by(&self.owner()) {
            network.remove(&self.owner())?;
        }
        Ok(Record::remove(&self.directory)?)
    }

    fn recorded_hosts(&self) -> Vec<Host> {
        let Some(network) = self.record.network else {
            return Vec::new();
        };
        self.record
            .hosts
            .iter()
            .map(|record| {
                Host::new(
                    &self.home,
                    &self.name,
                    &self.directory,
                    network,
                    record.clone(),
                )
            })
            .collect()
    }

    fn host_failed(&self, host: &Host, source: host::Error) -> Error {
        Error::Host {
            lab: self.name.clone(),
            host: host.name(),
            source: Box::new(source),
        }
    }

    /// What the bridge says of itself.
    fn owner(&self) -> String {
        self.directory.display().to_string()
    }

    fn save(&self) -> Result<(), Error> {
        Ok(self.record.save(&self.directory)?)
    }
}

/// Removes the labs whose making was killed and those whose owner has ended.
///
/// One that cannot be removed is told and left: it must not keep others from working.
pub fn sweep(home: &Home) -> Result<(), Error> {
    for name in Lab::names(home)? {
        if let Err(error) = sweep_one(home, &name) {
            progress::say(&format!("lab {name} may be a leftover and stays: {error}"));
        }
    }
    Ok(())
}

fn sweep_one(home: &Home, name: &str) -> Result<(), Error> {
    let directory = home.labs().join(name);
    let leftover = || -> Result<Option<Record>, Error> {
        match Record::load(&directory)? {
            Some(record) => {
                Ok(Some(record).filter(|record| record.format == FORMAT && record.is_leftover()))
            }
            None if directory.exists() => Ok(Some(Record::new(None, None))),
            None => Ok(None),
        }
    };
    {
        // Under this lock a directory without a record is not one that is being made.
        let _all = home.lock("labs")?;
        if leftover()?.is_none() {
            return Ok(());
        }
    }
    let _lock = home.lock(&format!("lab-{name}"))?;
    if let Some(record) = leftover()? {
        progress::say(&format!("removing lab {name}, which an earlier run left"));
        let mut lab = Lab {
            home: home.clone(),
            name: name.to_owned(),
            record,
            hosts: Vec::new(),
            times: Vec::new(),
            directory: directory.clone(),
        };
        lab.remove()?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_valid = (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_valid {
        Ok(())
    } else {
        Err(Error::InvalidName {
            name: name.to_owned(),
        })
    }
}

fn check_size(hosts: usize) -> Result<(), Error> {
    if (1..=MOST_HOSTS).contains(&hosts) {
        Ok(())
    } else {
        Err(Error::InvalidSize { hosts })
    }
}
