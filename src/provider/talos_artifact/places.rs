//! Which objects of this run want a file, and which have it.
//!
//! Two artifacts of one content share a file, and Core knows nothing of that: it makes, replaces and
//! deletes them in any order. Of other states, and of objects that Core does not mention in a run,
//! nothing is known here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use planner::talos_artifact::{Begun, Desired, Observed, Recorded};
use tokio::sync::{RwLock, RwLockReadGuard};

/// Where a file lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// On a storage.
    Volume(Begun),
    /// On this machine.
    Local(String),
}

/// What an object has at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Has {
    content: String,
    is_ours: bool,
}

#[derive(Debug, Default)]
struct Table {
    /// Content that is wanted at a place, by who wants it.
    wanted: BTreeMap<Place, BTreeMap<String, String>>,
    /// Files that objects have, by their ids.
    had: BTreeMap<Place, BTreeMap<String, Has>>,
}

/// Files by the objects of this run.
#[derive(Debug, Default)]
pub(crate) struct Places {
    table: Mutex<Table>,
    /// Read while a file is removed, written for a moment when one is wanted: what is found at a
    /// place after it was claimed is not about to go.
    removals: RwLock<()>,
}

impl Places {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what `who` wants, in place of what it wanted before. Gives a place, and false for a file
    /// on this machine, where somebody else wants other content.
    pub(super) async fn want(
        &self,
        who: &str,
        content: &str,
        places: BTreeSet<Place>,
    ) -> Option<Place> {
        let _nothing_goes = self.removals.write().await;
        let mut table = self.table();
        for wanted in table.wanted.values_mut() {
            wanted.remove(who);
        }
        let is_taken = |place: &&Place| {
            let wanted = table.wanted.get(*place).into_iter().flatten();
            wanted.into_iter().any(|(_, other)| other != content)
        };
        if let Some(taken) = places.iter().find(is_taken) {
            return Some(taken.clone());
        }
        for place in places {
            let wanted = table.wanted.entry(place).or_default();
            wanted.insert(who.to_owned(), content.to_owned());
        }
        None
    }

    /// Remembers the files of an object, in place of what was known of it. Those that another
    /// object left to it, or wrote, are its own too from now on: the last one removes them.
    pub(super) fn note(&self, id: &str, recorded: &mut Recorded) {
        let mut table = self.table();
        let mut inherited = BTreeSet::new();
        for (place, had) in &mut table.had {
            if had.remove(id).is_some_and(|has| has.is_ours) {
                inherited.insert(place.clone());
            }
        }
        for file in &mut recorded.files {
            let place = Place::Volume(file.begun());
            let had = table.had.get(&place).into_iter().flat_map(BTreeMap::values);
            let mut same = had.filter(|has| has.is_ours && has.content == file.content);
            file.is_ours |= inherited.contains(&place) || same.next().is_some();
            let has = Has {
                content: file.content.clone(),
                is_ours: file.is_ours,
            };
            table
                .had
                .entry(place)
                .or_default()
                .insert(id.to_owned(), has);
        }
        for local in &mut recorded.local {
            let place = Place::Local(local.path.clone());
            local.is_ours |= inherited.contains(&place);
            let has = Has {
                content: local.content.clone(),
                is_ours: local.is_ours,
            };
            table
                .had
                .entry(place)
                .or_default()
                .insert(id.to_owned(), has);
        }
    }

    /// Files of this content that other objects of this run wrote.
    pub(super) fn written(&self, id: &str, content: &str) -> BTreeSet<Begun> {
        let table = self.table();
        let is_written = |had: &BTreeMap<String, Has>| {
            had.iter()
                .any(|(other, has)| other != id && has.is_ours && has.content == content)
        };
        let written = table.had.iter().filter(|(_, had)| is_written(had));
        written
            .filter_map(|(place, _)| match place {
                Place::Volume(begun) => Some(begun.clone()),
                Place::Local(_) => None,
            })
            .collect()
    }

    /// Gives up what an object has at a place. True if another object of this run has it or wants it:
    /// then the file stays, and is that one's.
    pub(super) fn leave(&self, id: &str, place: &Place) -> bool {
        let mut table = self.table();
        let is_wanted = table
            .wanted
            .get(place)
            .is_some_and(|wanted| wanted.keys().any(|who| who != id));
        let Some(had) = table.had.get_mut(place) else {
            return is_wanted;
        };
        let was_ours = had.get(id).is_some_and(|has| has.is_ours);
        let is_had = had.keys().any(|other| other != id);
        if is_had {
            had.remove(id);
            for has in had.values_mut() {
                has.is_ours |= was_ours;
            }
        } else if !is_wanted {
            had.remove(id);
        }
        is_had || is_wanted
    }

    /// Held while a file is removed.
    pub(super) async fn removing(&self) -> RwLockReadGuard<'_, ()> {
        self.removals.read().await
    }
}

/// Where the wanted files lie, as far as storages told which of them are shared.
pub(super) fn places(desired: &Desired, seen: &Observed) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for target in desired.targets.iter().filter(|_| desired.has_image()) {
        for node in &target.nodes {
            let seen = seen.storage(&target.storage, node);
            let is_shared = seen.is_some_and(|fact| fact.known().is_some_and(|it| it.is_shared));
            let on = |node: &str| {
                Place::Volume(Begun {
                    storage: target.storage.clone(),
                    node: node.to_owned(),
                    volume: desired.volume(),
                })
            };
            places.insert(on(node));
            if is_shared {
                places.insert(on(""));
            }
        }
    }
    places.extend(desired.local_file.clone().map(Place::Local));
    places
}

#[cfg(test)]
mod tests {
    use planner::talos_artifact::{Bytes, RecordedFile};

    use super::*;

    fn place() -> Place {
        Place::Volume(file(true).begun())
    }

    fn file(is_ours: bool) -> RecordedFile {
        RecordedFile {
            storage: "resources".to_owned(),
            node: "pve01".to_owned(),
            is_shared: true,
            volume: "iso/x.iso".to_owned(),
            content: "a".to_owned(),
            bytes: Bytes {
                sha256: String::new(),
                size_bytes: 1,
            },
            is_ours,
            seen_from: BTreeSet::new(),
        }
    }

    fn has(is_ours: bool) -> Recorded {
        Recorded {
            files: vec![file(is_ours)],
            ..Recorded::default()
        }
    }

    #[test]
    fn the_last_of_those_who_share_a_file_removes_it() {
        let places = Places::default();
        places.note("1", &mut has(true));
        places.note("2", &mut has(false));
        assert!(places.leave("1", &place()), "2 has it");
        let mut second = has(false);
        places.note("2", &mut second);
        assert!(second.files[0].is_ours, "1 left it to 2");
        assert!(!places.leave("2", &place()), "nobody is left");
    }

    #[test]
    fn what_another_object_wrote_is_owned_by_both() {
        let places = Places::default();
        places.note("1", &mut has(true));
        assert_eq!(places.written("2", "a"), [file(true).begun()].into());
        assert_eq!(places.written("1", "a"), [].into());
        assert_eq!(places.written("2", "b"), [].into());
        let mut second = has(false);
        places.note("2", &mut second);
        assert!(second.files[0].is_ours);
    }

    #[tokio::test]
    async fn one_place_holds_one_content() {
        let places = Places::default();
        let here = || BTreeSet::from([place()]);
        assert_eq!(places.want("new a", "a", here()).await, None);
        assert_eq!(places.want("new b", "b", here()).await, Some(place()));
        assert_eq!(places.want("3", "a", here()).await, None, "the same image");
        // Planned again, with other content, and then elsewhere.
        assert_eq!(places.want("3", "b", here()).await, Some(place()));
        assert_eq!(places.want("3", "b", BTreeSet::new()).await, None);
        // A file stays for one that is about to find it.
        assert!(places.leave("3", &place()));
    }
}
