//! An append-only account of what was done on this host, when and by whom. For people; it holds no
//! content and no secrets.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt};

use serde::Serialize;

use crate::{clock, ledger, root::Root};

const FILE: &str = "/var/lib/etcd-node/log.jsonl";

/// One line.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    /// Who asked, as the provider says it.
    pub(crate) operator: &'a str,
    pub(crate) call: &'a str,
    pub(crate) owner: &'a str,
    /// What it was about.
    pub(crate) subject: &'a str,
    /// What came of it.
    pub(crate) outcome: &'a str,
}

#[derive(Serialize)]
struct Stamped<'a> {
    format: u32,
    time: String,
    #[serde(flatten)]
    line: &'a Line<'a>,
}

/// Adds a line, on a host where there is anything of ours. A host where it cannot be written has worse
/// troubles, which the caller hears of.
pub(crate) fn add(root: &Root, line: &Line<'_>) {
    if !root.at(ledger::HOME).is_dir() {
        return;
    }
    let stamped = Stamped {
        format: 1,
        time: clock::text(clock::now_ms()),
        line,
    };
    let mut text = serde_json::to_string(&stamped).expect("texts and numbers are JSON");
    text.push('\n');
    // One write of one line: those of several helpers do not mix (`O_APPEND`, open(2)).
    let _ = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(root.at(FILE))
        .and_then(|mut file| file.write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_lines_only_where_we_are_at_home() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let line = Line {
            operator: "tofu apply by ops",
            call: "Ensure",
            owner: "etcd_cluster/k8s",
            subject: "/etc/etcd/x",
            outcome: "updated \"it\"",
        };
        add(&root, &line);
        assert!(!root.at(FILE).exists());
        fs::create_dir_all(root.at(ledger::HOME)).expect("home");
        add(&root, &line);
        add(&root, &line);
        let text = fs::read_to_string(root.at(FILE)).expect("a log");
        assert_eq!(text.lines().count(), 2);
        let first: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        assert_eq!(first["format"], 1);
        assert_eq!(first["outcome"], "updated \"it\"");
    }
}
