//! Unfinished creations, so that the next apply knows its own and goes on.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    atomic,
    failure::Failed,
    ledger,
    proto::{JournalEntry, Outcome},
};

const DIRECTORY: &str = "/var/lib/etcd-node/journal";

#[derive(Serialize, Deserialize)]
struct Entry {
    format: u32,
    owner: String,
    id: String,
    wish: String,
    by: String,
    started_ms: i64,
    phase: String,
}

fn path(owner: &str) -> String {
    format!("{DIRECTORY}/{}.json", owner.replace('/', "--"))
}

pub(crate) fn write(entry: JournalEntry) -> Result<(), Failed> {
    ledger::make_home()?;
    fs::create_dir_all(DIRECTORY).map_err(|error| Failed::io("making", DIRECTORY, &error))?;
    let path = path(&entry.owner);
    let JournalEntry {
        owner,
        id,
        wish,
        by,
        started_ms,
        phase,
    } = entry;
    let entry = Entry {
        format: 1,
        owner,
        id,
        wish,
        by,
        started_ms,
        phase,
    };
    let text = serde_json::to_vec(&entry).expect("texts and numbers are JSON");
    atomic::write(Path::new(&path), &text, "root", "root", 0o600)
}

/// Forgets the entry; with an id, only if it is that one's.
pub(crate) fn clear(owner: &str, id: &str) -> Result<Outcome, Failed> {
    let mine = all()
        .into_iter()
        .any(|entry| entry.owner == owner && (id.is_empty() || entry.id == id));
    if !mine {
        return Ok(Outcome::NotNeeded);
    }
    let path = path(owner);
    fs::remove_file(&path).map_err(|error| Failed::io("removing", path.clone(), &error))?;
    Ok(Outcome::Updated)
}

/// All entries that can be read.
pub(crate) fn all() -> Vec<JournalEntry> {
    let Ok(directory) = fs::read_dir(DIRECTORY) else {
        return Vec::new();
    };
    directory
        .flatten()
        .filter_map(|file| serde_json::from_slice::<Entry>(&fs::read(file.path()).ok()?).ok())
        .map(|entry| {
            let Entry {
                owner,
                id,
                wish,
                by,
                started_ms,
                phase,
                ..
            } = entry;
            JournalEntry {
                owner,
                id,
                wish,
                by,
                started_ms,
                phase,
            }
        })
        .collect()
}
