//! Files on storages.

use std::collections::BTreeMap;

use super::{Finding, other_build, problem};
use crate::{
    facts::Fact,
    talos_artifact::{
        desired::{Desired, Target, Transfer},
        observed::{Absent, Bytes, Observed, StorageSeen},
        recorded::RecordedFile,
        step::{FilePlace, Step, listed},
    },
};

/// The files of one storage.
pub(super) fn files(
    desired: &Desired,
    observed: &Observed,
    index: usize,
    target: &Target,
    found: &mut Vec<Finding>,
) {
    let index = index.to_string();
    let facts = |node: &String| observed.storage(&target.storage, node);
    let absent = |node: &String| facts(node).and_then(|fact| fact.known()?.absent);
    let missing: Vec<Finding> = target
        .nodes
        .iter()
        .filter_map(|node| Some(not_there(&index, target, node, absent(node)?)))
        .collect();
    if !missing.is_empty() {
        found.extend(missing);
        return;
    }
    let shared = target.nodes.iter().find_map(|node| match facts(node) {
        Some(Fact::Known(seen)) if seen.is_shared => Some((node, seen)),
        _ => None,
    });
    let place = |nodes: Vec<String>, is_shared| FilePlace {
        storage: target.storage.clone(),
        nodes,
        is_shared,
        volume: desired.volume(),
        bytes: observed.bytes(desired),
    };
    if let Some((first, seen)) = shared {
        // Once, through a node that answers.
        let others = target.nodes.iter().filter(|node| *node != first);
        let nodes = std::iter::once(first).chain(others).cloned().collect();
        let at = place(nodes, true);
        found.extend(file(desired, observed, &index, target, &at, seen));
        let known = recorded(desired, observed, &target.storage, first);
        let known = known.filter(|file| is_current(desired, observed, file));
        let mut silent = Silent::default();
        for node in &target.nodes {
            // One that saw the file before is only silent now.
            let was_served = known.is_some_and(|file| file.seen_from.contains(node));
            if let (Some(Fact::Unknown(why)), false) = (facts(node), was_served) {
                silent.add(true, why, node);
            }
        }
        found.extend(silent.findings(&index, target));
        return;
    }
    let mut unlooked = Vec::new();
    let mut silent = Silent::default();
    for node in &target.nodes {
        match facts(node) {
            Some(Fact::Known(seen)) => {
                let at = place(vec![node.clone()], false);
                found.extend(file(desired, observed, &index, target, &at, seen));
            }
            Some(Fact::Unknown(why)) => {
                let is_there = recorded(desired, observed, &target.storage, node)
                    .is_some_and(|file| is_current(desired, observed, file));
                // That a login may not look is no silence, and nothing that passes.
                match observed.lacking(&target.storage, node) {
                    Some(lacking) if !is_there => found.push(may_not(&index, target, lacking)),
                    _ => silent.add(is_there, why, node),
                }
            }
            None => unlooked.push(node.clone()),
        }
    }
    found.extend(silent.findings(&index, target));
    // What nobody looked at is as the record says.
    unlooked.retain(|node| {
        recorded(desired, observed, &target.storage, node)
            .is_none_or(|file| !is_current(desired, observed, file))
    });
    let Some(first) = unlooked.first() else {
        return;
    };
    let other = recorded(desired, observed, &target.storage, first);
    if let Some(other) = other
        && !desired.overwrite
        && !(other.is_ours && other.content == desired.content())
    {
        found.push(same_name(desired, target, &other.node));
        return;
    }
    let replaces = other.is_some();
    found.push(Finding::step(transfer(
        target,
        place(unlooked, false),
        replaces,
    )));
}

/// Whether a recorded file is the wanted image: its content, and the bytes that all places have.
fn is_current(desired: &Desired, observed: &Observed, file: &RecordedFile) -> bool {
    let wanted = observed.bytes(desired);
    let is_same = wanted.is_none_or(|bytes| bytes.sha256 == file.bytes.sha256);
    file.content == desired.content() && is_same
}

/// Nodes that do not answer for a storage: by whether they have the image as far as is known, and by
/// the reason, which is said once for all.
#[derive(Default)]
struct Silent<'a>(BTreeMap<(bool, &'a str), Vec<String>>);

impl<'a> Silent<'a> {
    fn add(&mut self, is_there: bool, why: &'a str, node: &str) {
        let nodes = self.0.entry((is_there, why)).or_default();
        nodes.push(node.to_owned());
    }

    fn findings(self, index: &str, target: &Target) -> Vec<Finding> {
        let told = self.0.into_iter().map(|((is_there, why), nodes)| {
            let (storage, nodes) = (&target.storage, listed(&nodes));
            let sentence = format!("storage {storage} on {nodes} does not answer: {why}");
            if is_there {
                Finding::unseen(sentence).open()
            } else {
                Finding::waits(&["proxmox", index, "storage"], sentence)
            }
        });
        told.collect()
    }
}

/// What the login of the provider may not do.
fn may_not(index: &str, target: &Target, lacking: &str) -> Finding {
    let storage = &target.storage;
    Finding::refuses(
        &["proxmox", index, "storage"],
        "The login lacks a privilege",
        format!(
            "To put the image on storage {storage}, the login of the provider's proxmox block lacks \
             {lacking}. Grant it to the user, and to the token where its privileges are separated. If the \
             same apply grants it, take the name of the storage from the resource that does: then it is \
             asked for when it is there."
        ),
    )
}

/// What the cluster is known not to have.
fn not_there(index: &str, target: &Target, node: &str, absent: Absent) -> Finding {
    let storage = &target.storage;
    match absent {
        Absent::Storage => Finding::refuses(
            &["proxmox", index, "storage"],
            "There is no such storage",
            format!(
                "The cluster has no storage {storage}. See pvesm status for those that there are. If the \
                 same apply makes it, take its name from the resource that makes it: then it is looked \
                 for when it is there."
            ),
        ),
        Absent::Node => Finding::refuses(
            &["proxmox", index, "nodes"],
            "There is no such node",
            format!("The cluster has no node {node}. See pvecm nodes for those that there are."),
        ),
        Absent::Here => Finding::refuses(
            &["proxmox", index, "nodes"],
            "The node does not have this storage",
            format!(
                "Storage {storage} is disabled, or limited to other nodes than {node}: see its nodes and \
                 disable in /etc/pve/storage.cfg. Guests on {node} could not boot from it."
            ),
        ),
    }
}

fn recorded<'a>(
    desired: &Desired,
    observed: &'a Observed,
    storage: &str,
    node: &str,
) -> Option<&'a RecordedFile> {
    observed.recorded.file(storage, node, &desired.volume())
}

fn transfer(target: &Target, place: FilePlace, replaces: bool) -> Step {
    match target.transfer {
        Transfer::Upload => Step::Upload { place, replaces },
        Transfer::Download => Step::DownloadByNode { place, replaces },
    }
}

fn same_name(desired: &Desired, target: &Target, node: &str) -> Finding {
    Finding::refuses(
        &["file_name"],
        "Another image has this name",
        format!(
            "{node} has {}:{} with other content, and machines may boot from it. Leave file_name out \
             (the default carries the beginning of the id), give another name, or set overwrite = \
             true.",
            target.storage,
            desired.volume()
        ),
    )
}

/// One file on one storage: on a node's own, or on one that all share.
fn file(
    desired: &Desired,
    observed: &Observed,
    index: &str,
    target: &Target,
    place: &FilePlace,
    seen: &StorageSeen,
) -> Option<Finding> {
    let node = &place.nodes[0];
    let volid = place.volid();
    let who = if place.is_shared {
        format!("{} (shared)", place.storage)
    } else {
        node.clone()
    };
    let recorded = recorded(desired, observed, &place.storage, node);
    let same = recorded.filter(|file| file.content == desired.content());
    let size = seen.files.get(&place.volume).copied();
    let write = |replaces| {
        obstacle(desired, observed, (index, target), place, seen)
            .unwrap_or_else(|| Finding::step(transfer(target, place.clone(), replaces)))
    };
    match (size, same, recorded) {
        (Some(size), Some(same), _) if size == same.bytes.size_bytes => {
            if is_current(desired, observed, same) {
                return None;
            }
            let sentence = other_build(
                &format!("{who}: {volid}"),
                &same.bytes,
                place.bytes.as_ref(),
            );
            Some(if same.is_ours || desired.overwrite {
                write(true).because(sentence)
            } else {
                same_name(desired, target, node).because(sentence)
            })
        }
        (Some(size), Some(same), _) => {
            let sentence = format!(
                "{who}: {volid} has {size} bytes instead of {}",
                same.bytes.size_bytes
            );
            // What was there before us is not ours to replace.
            Some(if same.is_ours || desired.overwrite {
                write(true).because(sentence)
            } else {
                same_name(desired, target, node).because(sentence)
            })
        }
        (None, Some(_), _) => Some(write(false).because(format!("{who}: {volid} is gone"))),
        (Some(_), None, _) if desired.overwrite => Some(write(true)),
        // Ours, of former content.
        (Some(_), None, Some(_)) => Some(same_name(desired, target, node)),
        (Some(size), None, None) if observed.begun.contains(&place.begun()) => Some(
            cut_off(observed.bytes(desired).as_ref(), place, size).unwrap_or_else(|| write(true)),
        ),
        (Some(size), None, None) => Some(foreign(desired, observed, target, place, size)),
        (None, None, _) => Some(write(false)),
    }
}

/// A file that a killed run of ours wrote: taken over if it is whole; nothing if it is not.
fn cut_off(known: Option<&Bytes>, place: &FilePlace, size: u64) -> Option<Finding> {
    known
        .is_none_or(|bytes| bytes.size_bytes == size)
        .then(|| Finding::step(Step::AdoptFile(place.clone())))
}

/// A file that we did not write has the name of ours.
fn foreign(
    desired: &Desired,
    observed: &Observed,
    target: &Target,
    place: &FilePlace,
    size: u64,
) -> Finding {
    if target.transfer == Transfer::Download {
        // Proxmox compares the file with our hash, and refuses another one.
        return Finding::step(transfer(target, place.clone(), false));
    }
    let known = observed.bytes(desired);
    if known.as_ref().is_some_and(|bytes| bytes.size_bytes != size) {
        return same_name(desired, target, &place.nodes[0]);
    }
    let detail = format!(
        "{} on {} was not written by this resource. A storage tells the size of a file and nothing of \
         its content: if the size is the same, the file is taken for the image and left there when \
         the resource goes. To be sure, remove it, set overwrite = true, or transfer = \"download\", \
         which compares checksums.",
        place.volid(),
        listed(&place.nodes)
    );
    Finding {
        steps: vec![Step::AdoptFile(place.clone())],
        warning: Some(problem(
            false,
            &["file_name"],
            "A file of this name is there",
            detail,
        )),
        ..Finding::default()
    }
}

/// Types of storages without files (`content` in `plugindata` of pve-storage's plugins).
const DISKS_ONLY: [&str; 7] = [
    "iscsi",
    "iscsidirect",
    "lvm",
    "lvmthin",
    "rbd",
    "zfs",
    "zfspool",
];

/// What stands against writing to a storage.
fn obstacle(
    desired: &Desired,
    observed: &Observed,
    (index, target): (&str, &Target),
    place: &FilePlace,
    seen: &StorageSeen,
) -> Option<Finding> {
    let kind = desired.content_kind();
    let at = ["proxmox", index, "storage"];
    let on = if place.is_shared {
        String::new()
    } else {
        format!(" on {}", place.nodes[0])
    };
    if !seen.content.is_empty() && !seen.content.iter().any(|known| known == kind.as_str()) {
        return Some(Finding::refuses(
            &at,
            "The storage does not take such images",
            format!(
                "Storage {}{on} has content {}, and {} needs \"{kind}\". {}",
                place.storage,
                seen.content.join(","),
                desired.file_name,
                if DISKS_ONLY.contains(&seen.kind.as_str()) {
                    format!(
                        "A storage of type {} holds disks only: take one of files (directory, NFS, CIFS, \
                         CephFS, Btrfs).",
                        seen.kind
                    )
                } else {
                    format!(
                        "Enable it: pvesm set {} --content {},{kind}",
                        place.storage,
                        seen.content.join(",")
                    )
                }
            ),
        ));
    }
    if let Some(lacking) = observed.lacking(&place.storage, &place.nodes[0]) {
        return Some(may_not(index, target, lacking));
    }
    let needed = observed.bytes(desired)?.size_bytes;
    let freed = seen.files.get(&place.volume).copied().unwrap_or_default();
    let available = seen.available_bytes?.saturating_add(freed);
    (available < needed).then(|| {
        Finding::refuses(
            &at,
            "The storage is full",
            format!(
                "Storage {}{on} has {available} bytes free, the image has {needed}.",
                place.storage
            ),
        )
    })
}
