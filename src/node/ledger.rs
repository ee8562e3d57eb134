//! What we made on this host and who uses it. Nothing that is not in it is replaced or removed.
//!
//! Whoever changes it holds the host's lock. A change is entered before it is made (`pending`) and
//! confirmed afterwards, so that what a killed run leaves is known to be ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    digest::{self, Identity},
    failure::Failed,
    proto::failure::Kind,
    record,
    root::{Root, parents},
    secret::Secret,
};

/// Our own directory.
pub(crate) const HOME: &str = "/var/lib/etcd-node";
const FILE: &str = "/var/lib/etcd-node/ledger.json";
/// Written after it, and read where it is gone or broken: without a ledger nothing on the host would
/// be ours any more, and nobody could mend or remove it.
const COPY: &str = "/etc/etcd-node/ledger.json";
const FORMAT: u32 = 1;

/// All owners on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    format: u32,
    /// Counts its writes: the higher one of file and copy is the newer.
    #[serde(default)]
    serial: u64,
    /// Version of the helper that wrote it last.
    written_by: String,
    /// Goes into hashes of secrets, which leave the host, so that nobody can guess by them.
    salt: String,
    /// Resources by name: `etcd_cluster/k8s`.
    pub(crate) owners: BTreeMap<String, Owner>,
    /// Things with several users, by path or `user:NAME`.
    pub(crate) shared: BTreeMap<String, Shared>,
}

/// A resource on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) manifest: String,
    pub(crate) ports: Vec<u16>,
    pub(crate) items: BTreeMap<String, Item>,
}

/// Something that belongs to one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    /// It was not there before us.
    pub(crate) made: bool,
    /// Hash at our last write; empty for what has none or changes by itself.
    pub(crate) sha256: String,
    /// Hash of what is about to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<String>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemKind {
    File,
    Unit,
    /// A private key: never kept when its owner goes.
    Key,
    Directory,
    /// A directory whose content outlives its owner, unless that is told otherwise.
    Data,
    Link,
}

/// Something with several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) kind: SharedKind,
    /// It was not there before us; else it stays when the last user goes.
    pub(crate) made: bool,
    pub(crate) owners: BTreeSet<String>,
    pub(crate) sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<String>,
    /// Of a program: the file that has this hash, so that it is not hashed in each plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<Identity>,
}

/// What a shared thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SharedKind {
    Unit,
    Link,
    File,
    /// A directory with programs out of a release.
    Programs,
    Directory,
    User,
}

/// Whose a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Nobody's that we know.
    Unknown,
    Own,
    Shared,
    /// Another owner's alone.
    Other(&'a str),
}

impl Ledger {
    fn new() -> Self {
        Self {
            format: FORMAT,
            serial: 0,
            written_by: record::VERSION.to_owned(),
            salt: String::from_utf8_lossy(Secret::random(16).expose()).into_owned(),
            owners: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }

    /// Reads it; a host without one is new. An older one that somebody put in its place knows less than
    /// its copy, which then counts.
    pub(crate) fn load(root: &Root) -> Result<Self, Failed> {
        let copy = || record::read(&root.at(COPY), FORMAT);
        match record::read::<Self>(&root.at(FILE), FORMAT) {
            Ok(Some(ledger)) => {
                let newer = copy().ok().flatten();
                let newer = newer.filter(|copy: &Self| copy.serial > ledger.serial);
                Ok(newer.unwrap_or(ledger))
            }
            Ok(None) => Ok(copy()?.unwrap_or_else(Self::new)),
            Err(broken) if broken.0.kind() == Kind::BrokenFile => {
                copy().ok().flatten().ok_or(broken)
            }
            Err(failed) => Err(failed),
        }
    }

    /// Lets hashes of programs that were taken at their installation count for the same files.
    pub(crate) fn remember_programs(&self) {
        for shared in self.shared.values() {
            if let (Some(identity), None) = (&shared.identity, &shared.pending) {
                digest::remember(identity.clone(), shared.sha256.clone());
            }
        }
    }

    pub(crate) fn save(&mut self, root: &Root) -> Result<(), Failed> {
        self.format = FORMAT;
        self.serial += 1;
        record::VERSION.clone_into(&mut self.written_by);
        record::write(&root.at(FILE), self)?;
        record::write(&root.at(COPY), self)
    }

    /// The owner's entry, made if it is absent; another id under the same name is a conflict.
    pub(crate) fn owner_mut(&mut self, owner: &str, id: &str) -> Result<&mut Owner, Failed> {
        check_owner(owner)?;
        if id.is_empty() {
            return Err(Failed::invalid(
                owner,
                format!("{owner} comes without an id"),
            ));
        }
        let entry = self
            .owners
            .entry(owner.to_owned())
            .or_insert_with(|| Owner {
                id: id.to_owned(),
                ..Owner::default()
            });
        if entry.id == id {
            return Ok(entry);
        }
        Err(Failed::new(
            Kind::Conflict,
            owner,
            format!(
                "{owner} is on this host already, made under the id {}",
                entry.id
            ),
        )
        .hint("Import it, or choose another name."))
    }

    /// Whose a path is, as `owner` sees it.
    pub(crate) fn standing(&self, path: &str, owner: &str) -> Standing<'_> {
        if self.shared.contains_key(path) {
            return Standing::Shared;
        }
        match self
            .owners
            .iter()
            .find(|(_, entry)| entry.items.contains_key(path))
        {
            Some((name, _)) if name == owner => Standing::Own,
            Some((name, _)) => Standing::Other(name),
            None => Standing::Unknown,
        }
    }

    /// Owner of a path and the hashes that were recorded for it: at our last write, and of one that
    /// was begun. Of several users one of `preferred` is named.
    pub(crate) fn find(
        &self,
        path: &str,
        preferred: &[String],
    ) -> Option<(&str, &str, Option<&str>)> {
        if let Some(shared) = self.shared.get(path) {
            let owner = shared
                .owners
                .iter()
                .find(|name| preferred.contains(name))
                .or_else(|| shared.owners.first())?;
            return Some((owner, &shared.sha256, shared.pending.as_deref()));
        }
        self.owners.iter().find_map(|(name, owner)| {
            let item = owner.items.get(path)?;
            Some((name.as_str(), item.sha256.as_str(), item.pending.as_deref()))
        })
    }

    /// Whether a path is a directory with data of an owner.
    pub(crate) fn is_data(&self, path: &str) -> bool {
        let mut owners = self.owners.values();
        owners.any(|owner| {
            let item = owner.items.get(path);
            item.is_some_and(|item| item.kind == ItemKind::Data)
        })
    }

    /// Whether a path was not there before us.
    pub(crate) fn made(&self, path: &str) -> bool {
        let item = || {
            let mut owners = self.owners.values();
            owners.find_map(|owner| owner.items.get(path))
        };
        self.shared
            .get(path)
            .map(|shared| shared.made)
            .or_else(|| item().map(|item| item.made))
            .unwrap_or_default()
    }

    /// Enters an item of an owner; `pending` is the hash of what is about to be written.
    pub(crate) fn enter(
        &mut self,
        root: &Root,
        owner: &str,
        path: &str,
        kind: ItemKind,
        pending: Option<String>,
    ) {
        self.enter_parents(root, owner, path);
        let made = !exists(&root.at(path));
        let Some(entry) = self.owners.get_mut(owner) else {
            return;
        };
        let item = entry.items.entry(path.to_owned()).or_insert_with(|| Item {
            kind,
            made,
            sha256: String::new(),
            pending: None,
        });
        item.kind = kind;
        item.pending = pending.filter(|pending| *pending != item.sha256);
    }

    /// Enters a user of a shared thing.
    pub(crate) fn share(
        &mut self,
        root: &Root,
        owner: &str,
        path: &str,
        kind: SharedKind,
        pending: Option<String>,
    ) {
        let made = !exists(&root.at(path));
        self.enter_parents(root, owner, path);
        self.share_key(owner, path, kind, made, pending);
    }

    /// The same for what has no path.
    pub(crate) fn share_key(
        &mut self,
        owner: &str,
        key: &str,
        kind: SharedKind,
        made: bool,
        pending: Option<String>,
    ) {
        let shared = self.count_user(owner, key, kind, made);
        shared.pending = pending.filter(|pending| *pending != shared.sha256);
    }

    /// Counts an owner among the users of a shared thing, whatever is about to be written to it.
    fn count_user(&mut self, owner: &str, key: &str, kind: SharedKind, made: bool) -> &mut Shared {
        let shared = self.shared.entry(key.to_owned()).or_insert_with(|| Shared {
            kind,
            made,
            owners: BTreeSet::new(),
            sha256: String::new(),
            pending: None,
            identity: None,
        });
        shared.owners.insert(owner.to_owned());
        shared
    }

    /// Directories on the way to a path that are not there will be made by us, and those that we made
    /// have one user more: they go with the last.
    fn enter_parents(&mut self, root: &Root, owner: &str, path: &str) {
        for parent in parents(path) {
            if self.shared.contains_key(parent) || !exists(&root.at(parent)) {
                let inside = self
                    .owners
                    .values()
                    .any(|entry| entry.items.contains_key(parent));
                if !inside {
                    self.count_user(owner, parent, SharedKind::Directory, true);
                }
            }
        }
    }

    /// Confirms that what was entered for a path was written.
    pub(crate) fn confirm(&mut self, owner: &str, path: &str) {
        if let Some(shared) = self.shared.get_mut(path) {
            if let Some(sha256) = shared.pending.take() {
                shared.sha256 = sha256;
            }
        } else if let Some(item) = self
            .owners
            .get_mut(owner)
            .and_then(|entry| entry.items.get_mut(path))
            && let Some(sha256) = item.pending.take()
        {
            item.sha256 = sha256;
        }
    }

    /// Hash of a file's content as it is recorded and told: plain, but for secrets.
    pub(crate) fn fingerprint(&self, path: &str, content: &[u8]) -> String {
        if !is_secret(path) {
            return digest::bytes(content);
        }
        let mut running = digest::Running::new();
        running.update(self.salt.as_bytes());
        running.update(content);
        running.finish()
    }

    /// Names of the units that an owner has here, in the order of their paths.
    pub(crate) fn units<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.owners.get(owner).into_iter().flat_map(|entry| {
            entry
                .items
                .iter()
                .filter(|(_, item)| item.kind == ItemKind::Unit)
                .map(|(path, _)| path.as_str())
        });
        let shared = self
            .shared
            .iter()
            .filter(move |(_, shared)| {
                shared.kind == SharedKind::Unit && shared.owners.contains(owner)
            })
            .map(|(path, _)| path.as_str());
        own.chain(shared).filter_map(|path| path.rsplit('/').next())
    }
}

/// Files whose content and plain hash never leave the host.
pub(crate) fn is_secret(path: &str) -> bool {
    path.contains("/secrets/") || has_extension(path, "key")
}

/// Whether the last part of a path or name ends with `.extension`.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// An owner is `TYPE/NAME` of plain characters.
pub(crate) fn check_owner(owner: &str) -> Result<(), Failed> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let whole = owner.split_once('/').is_some_and(|(kind, name)| {
        [kind, name]
            .iter()
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain))
    });
    if whole && owner.len() <= 150 {
        Ok(())
    } else {
        Err(Failed::invalid(
            owner,
            format!("{owner:?} is not an owner, such as etcd_cluster/k8s"),
        ))
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::test_host::TestHost;

    const OWNER: &str = "etcd_cluster/k8s";

    fn host() -> TestHost {
        let host = TestHost::new();
        let mut ledger = Ledger::load(host.root()).expect("new");
        ledger.owner_mut(OWNER, "1").expect("an owner");
        ledger.save(host.root()).expect("saved");
        host
    }

    fn knows(host: &TestHost) -> Result<bool, Kind> {
        match Ledger::load(host.root()) {
            Ok(ledger) => Ok(ledger.owners.contains_key(OWNER)),
            Err(failed) => {
                assert!(failed.0.message.contains(FILE), "{failed}");
                Err(failed.0.kind())
            }
        }
    }

    #[test]
    fn a_ledger_that_is_gone_or_torn_is_read_from_its_copy_and_written_again() {
        let remove = |host: &TestHost| fs::remove_file(host.root().at(FILE)).expect("removed");
        for spoil in [
            &remove as &dyn Fn(&TestHost),
            &|host: &TestHost| host.write(FILE, ""),
            &|host: &TestHost| host.write(FILE, "{\"format\": 1, \"own"),
        ] {
            let host = host();
            spoil(&host);
            assert_eq!(knows(&host), Ok(true));
            let mut ledger = Ledger::load(host.root()).expect("the copy");
            ledger.save(host.root()).expect("saved");
            assert_eq!(host.read(FILE), host.read(COPY));
            remove(&host);
            fs::remove_file(host.root().at(COPY)).expect("removed");
            assert_eq!(knows(&host), Ok(false), "a host without one is new");
        }
    }

    #[test]
    fn an_older_ledger_does_not_take_the_place_of_its_newer_copy() {
        let host = host();
        let older = host.read(FILE);
        let mut ledger = Ledger::load(host.root()).expect("a ledger");
        ledger.owner_mut("etcd_cluster/par", "2").expect("an owner");
        ledger.save(host.root()).expect("saved");
        host.write(FILE, &older);
        let mut ledger = Ledger::load(host.root()).expect("the copy");
        assert!(ledger.owners.contains_key("etcd_cluster/par"));
        ledger.save(host.root()).expect("saved");
        assert_eq!(host.read(FILE), host.read(COPY));
    }

    #[test]
    fn without_a_copy_a_torn_ledger_is_named_and_a_newer_one_is_refused_with_one() {
        let host = host();
        host.write(FILE, "{\"format\": 2, \"written_by\": \"9.1.0\"}");
        assert_eq!(knows(&host), Err(Kind::NewerFormat));
        host.write(FILE, "");
        fs::remove_file(host.root().at(COPY)).expect("removed");
        assert_eq!(knows(&host), Err(Kind::BrokenFile));
        host.write(COPY, "torn too");
        assert_eq!(knows(&host), Err(Kind::BrokenFile));
    }
}
