//! What we made on this host and who uses it. Nothing that is not in it is replaced or removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{atomic, failure::Failed, proto::failure::Kind, system};

/// Our own directory.
pub(crate) const HOME: &str = "/var/lib/etcd-node";
const FILE: &str = "/var/lib/etcd-node/ledger.json";
const LOG: &str = "/var/lib/etcd-node/log.jsonl";
const FORMAT: u32 = 1;

/// All owners on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    format: u32,
    /// Version of the helper that wrote it last.
    written_by: String,
    pub(crate) owners: BTreeMap<String, Owner>,
    /// Things with several users, by path, or `user:NAME`.
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
    pub(crate) kind: Kind2,
    /// Hash at our last write; empty for what has none.
    pub(crate) sha256: String,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind2 {
    File,
    Unit,
    Directory,
    Data,
    Link,
}

/// Something with several users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) kind: SharedKind,
    /// We made it; else it stays when the last user goes.
    pub(crate) made: bool,
    pub(crate) owners: BTreeSet<String>,
    pub(crate) sha256: String,
}

/// What a shared thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SharedKind {
    User,
    Directory,
    File,
    Link,
    Programs,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            format: FORMAT,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            owners: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }
}

impl Ledger {
    /// Reads it; a host without one is new.
    pub(crate) fn load() -> Result<Self, Failed> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            written_by: String,
        }
        let text = match fs::read_to_string(FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Failed::io("reading", FILE, &error)),
        };
        let broken = |error: serde_json::Error| {
            Failed::new(
                Kind::Internal,
                FILE,
                format!("{FILE} cannot be read: {error}"),
            )
            .hint("Restore it from a backup of the host; nothing was changed.")
        };
        let head: Head = serde_json::from_str(&text).map_err(broken)?;
        if head.format > FORMAT {
            return Err(Failed::new(
                Kind::NewerFormat,
                FILE,
                format!("{FILE} was written by version {}", head.written_by),
            )
            .hint(format!(
                "Use version {} of the provider or a newer one.",
                head.written_by
            ))
            .output(&head.written_by));
        }
        serde_json::from_str(&text).map_err(broken)
    }

    pub(crate) fn save(&mut self) -> Result<(), Failed> {
        env!("CARGO_PKG_VERSION").clone_into(&mut self.written_by);
        make_home()?;
        let mut text = serde_json::to_string_pretty(self).expect("texts and numbers are JSON");
        text.push('\n');
        atomic::write(Path::new(FILE), text.as_bytes(), "root", "root", 0o600)
    }

    /// The owner's entry; another id under the same name is a conflict.
    pub(crate) fn owner_mut(&mut self, owner: &str, id: &str) -> Result<&mut Owner, Failed> {
        if owner.is_empty() || id.is_empty() {
            return Err(Failed::new(
                Kind::InvalidRequest,
                owner,
                "an owner has a name and an id",
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
            Ok(entry)
        } else {
            Err(Failed::new(
                Kind::Conflict,
                owner,
                format!("{owner} exists on this host already, made as {}", entry.id),
            )
            .hint("Import it, or choose another name."))
        }
    }

    /// Who owns a path, and the hash at our last write.
    pub(crate) fn find(&self, path: &str) -> Option<(&str, &str)> {
        let own = self.owners.iter().find_map(|(name, owner)| {
            owner
                .items
                .get(path)
                .map(|item| (name.as_str(), item.sha256.as_str()))
        });
        own.or_else(|| {
            self.shared.get(path).map(|shared| {
                (
                    shared.owners.iter().next().map_or("", String::as_str),
                    shared.sha256.as_str(),
                )
            })
        })
    }

    /// Registers a user of a shared thing.
    pub(crate) fn share(
        &mut self,
        key: &str,
        kind: SharedKind,
        made: bool,
        owner: &str,
        sha256: &str,
    ) {
        let shared = self.shared.entry(key.to_owned()).or_insert_with(|| Shared {
            kind,
            made,
            owners: BTreeSet::new(),
            sha256: String::new(),
        });
        shared.owners.insert(owner.to_owned());
        sha256.clone_into(&mut shared.sha256);
    }
}

pub(crate) fn make_home() -> Result<(), Failed> {
    fs::create_dir_all(HOME).map_err(|error| Failed::io("making", HOME, &error))?;
    std::os::unix::fs::chown(HOME, Some(0), Some(0))
        .map_err(|error| Failed::io("owning", HOME, &error))
}

/// Adds a line to the log of what was done here by whom. The log is for people; a host where it
/// cannot be written has worse troubles that the caller hears of.
pub(crate) fn log(operator: &str, call: &str, owner: &str, subject: &str, outcome: &str) {
    let line = serde_json::json!({
        "format": FORMAT,
        "time_ms": system::now_ms(),
        "operator": operator,
        "call": call,
        "owner": owner,
        "subject": subject,
        "outcome": outcome,
    });
    if Path::new(HOME).is_dir()
        && let Ok(mut file) = fs::OpenOptions::new().create(true).append(true).open(LOG)
    {
        let _ = writeln!(file, "{line}");
    }
}
