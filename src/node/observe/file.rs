//! Files, directories and links.

use std::{fs, os::unix::fs::MetadataExt};

use crate::{
    account, ensure,
    failure::Failed,
    ledger::{Ledger, is_secret},
    proto::{FileFact, FileQuery, file_fact::Kind},
    root::Root,
};

/// Largest content that is answered.
const CONTENT_LIMIT: u64 = 64 * 1024;

pub(super) fn fact(
    root: &Root,
    query: &FileQuery,
    ledger: &Ledger,
    owners: &[String],
) -> Result<FileFact, Failed> {
    let path = root.wanted(&query.path)?;
    let (owner, recorded, pending) = ledger.find(&query.path, owners).unwrap_or_default();
    let mut fact = FileFact {
        path: query.path.clone(),
        owner: owner.to_owned(),
        recorded_sha256: recorded.to_owned(),
        made: ledger.made(&query.path),
        ..FileFact::default()
    };
    let Ok(found) = fs::symlink_metadata(&path) else {
        return Ok(fact);
    };
    fact.mode = found.mode() & 0o7777;
    fact.user = account::user_name(root, found.uid());
    fact.group = account::group_name(root, found.gid());
    fact.size_bytes = found.len();
    fact.modified_ms = found.mtime() * 1000 + found.mtime_nsec() / 1_000_000;
    let kind = if found.is_file() {
        if is_secret(&query.path) || found.len() <= CONTENT_LIMIT {
            let content = fs::read(&path).unwrap_or_default();
            fact.sha256 = ledger.fingerprint(&query.path, &content);
            let is_told = query.content
                && found.len() <= CONTENT_LIMIT
                && !is_secret(&query.path)
                && !has_private_key(&content);
            fact.content = is_told.then(|| String::from_utf8(content).ok()).flatten();
        } else {
            fact.sha256 = crate::digest::program(&path).unwrap_or_default();
        }
        // A run that was killed between the write and the ledger.
        if pending == Some(fact.sha256.as_str()) {
            fact.recorded_sha256.clone_from(&fact.sha256);
        }
        Kind::File
    } else if found.is_dir() {
        fact.populated = ensure::is_populated(&path);
        if ledger.is_data(&query.path) {
            fact.stranger = ensure::stranger(&path)
                .map(|below| format!("{}/{}", query.path, below.display()))
                .unwrap_or_default();
        }
        Kind::Directory
    } else if found.is_symlink() {
        fact.link_target = fs::read_link(&path)
            .map(|target| target.display().to_string())
            .unwrap_or_default();
        Kind::Link
    } else {
        Kind::Other
    };
    fact.kind = kind.into();
    Ok(fact)
}

/// Keys stay where they are, whatever their file is called.
fn has_private_key(content: &[u8]) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY";
    content.windows(MARK.len()).any(|window| window == MARK)
}
