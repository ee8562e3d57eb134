//! Unfinished creations, so that the next apply knows its own and goes on.

use std::{fs, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    clock,
    failure::Failed,
    ledger::check_owner,
    proto::{JournalEntry, Outcome, failure::Kind},
    record,
    root::Root,
};

const DIRECTORY: &str = "/var/lib/etcd-node/journal";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Entry {
    format: u32,
    written_by: String,
    owner: String,
    id: String,
    wish: String,
    by: String,
    started_ms: i64,
    phase: String,
}

fn path(root: &Root, owner: &str) -> PathBuf {
    // A character that no owner holds stands for the slash.
    root.at(DIRECTORY)
        .join(format!("{}.json", owner.replace('/', "@")))
}

/// Writes the entry of an owner; one that another id began is not replaced.
pub(crate) fn write(root: &Root, entry: JournalEntry) -> Result<(), Failed> {
    check_owner(&entry.owner)?;
    if entry.id.is_empty() {
        return Err(Failed::invalid(
            &entry.owner,
            "a journal entry comes without an id",
        ));
    }
    let path = path(root, &entry.owner);
    if let Some(there) = record::read::<Entry>(&path, FORMAT)?.filter(|there| there.id != entry.id)
    {
        return Err(Failed::new(
            Kind::Conflict,
            &entry.owner,
            format!(
                "a creation of {} by {} is unfinished here",
                entry.owner, there.by
            ),
        )
        .hint("Apply the same configuration again to finish it."));
    }
    let JournalEntry {
        owner,
        id,
        wish,
        by,
        started_ms,
        phase,
    } = entry;
    let written_by = record::VERSION.to_owned();
    let started_ms = match started_ms {
        0 => clock::now_ms(),
        known => known,
    };
    record::write(
        &path,
        &Entry {
            format: FORMAT,
            written_by,
            owner,
            id,
            wish,
            by,
            started_ms,
            phase,
        },
    )
}

/// Forgets the entry; with an id, only if it is that one's.
pub(crate) fn clear(root: &Root, owner: &str, id: &str) -> Result<Outcome, Failed> {
    check_owner(owner)?;
    let path = path(root, owner);
    let mine =
        record::read::<Entry>(&path, FORMAT)?.is_some_and(|entry| id.is_empty() || entry.id == id);
    if !mine {
        return Ok(Outcome::NotNeeded);
    }
    fs::remove_file(&path).map_err(|error| Failed::io("removing", &path, &error))?;
    Ok(Outcome::Updated)
}

/// All entries, by owner.
pub(crate) fn all(root: &Root) -> Result<Vec<JournalEntry>, Failed> {
    let directory = root.at(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failed::io("reading", &directory, &error)),
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let complete = path
            .extension()
            .is_some_and(|extension| extension == "json");
        if let Some(entry) = complete
            .then(|| record::read::<Entry>(&path, FORMAT))
            .transpose()?
            .flatten()
        {
            let Entry {
                owner,
                id,
                wish,
                by,
                started_ms,
                phase,
                ..
            } = entry;
            found.push(JournalEntry {
                owner,
                id,
                wish,
                by,
                started_ms,
                phase,
            });
        }
    }
    found.sort_by(|left, right| left.owner.cmp(&right.owner));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(owner: &str, id: &str) -> JournalEntry {
        JournalEntry {
            owner: owner.to_owned(),
            id: id.to_owned(),
            wish: "w".to_owned(),
            by: "tofu apply by ops".to_owned(),
            started_ms: 1,
            phase: "begun".to_owned(),
        }
    }

    #[test]
    fn an_unfinished_creation_is_kept_until_its_own_id_clears_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        assert_eq!(all(&root).expect("none"), []);
        write(&root, entry("etcd_cluster/k8s", "1")).expect("written");
        write(
            &root,
            JournalEntry {
                phase: "started".to_owned(),
                ..entry("etcd_cluster/k8s", "1")
            },
        )
        .expect("the next phase");
        write(&root, entry("etcd_cluster/b", "2")).expect("another owner");
        let failed = write(&root, entry("etcd_cluster/k8s", "3")).expect_err("another id");
        assert_eq!(failed.0.kind(), Kind::Conflict);
        assert!(failed.0.message.contains("tofu apply by ops"));
        let found = all(&root).expect("two");
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[1].owner.as_str(), found[1].phase.as_str()),
            ("etcd_cluster/k8s", "started")
        );
        assert_eq!(
            clear(&root, "etcd_cluster/k8s", "3").expect("not his"),
            Outcome::NotNeeded
        );
        assert_eq!(
            clear(&root, "etcd_cluster/k8s", "1").expect("his"),
            Outcome::Updated
        );
        assert_eq!(all(&root).expect("one").len(), 1);
    }

    #[test]
    fn an_owner_cannot_leave_the_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        for owner in ["../x", "k8s", "a/b/c", "/etc", "a/..", ""] {
            assert!(write(&root, entry(owner, "1")).is_err(), "{owner:?}");
        }
    }
}
