//! Who has certificates from a CA. Two clusters of one name under one CA would let each other in.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    failure::Failed,
    lock::{self, Lock},
    proto::{Consumer, ForgetConsumerRequest, Outcome, failure::Kind},
    record,
    root::Root,
};

const FORMAT: u32 = 1;

/// Longest wait for the register, which is held for moments only.
const WAIT: Duration = Duration::from_secs(10);

/// Ids of consumers by name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Register {
    format: u32,
    written_by: String,
    pub(crate) consumers: BTreeMap<String, String>,
}

impl Register {
    fn path(place: &Path) -> PathBuf {
        place.join("consumers.json")
    }

    /// Reads it below the directory of a CA.
    pub(crate) fn load(place: &Path) -> Result<Self, Failed> {
        let empty = || Self {
            format: FORMAT,
            written_by: record::VERSION.to_owned(),
            consumers: BTreeMap::new(),
        };
        Ok(record::read(&Self::path(place), FORMAT)?.unwrap_or_else(empty))
    }

    fn save(&self, place: &Path) -> Result<(), Failed> {
        record::write(&Self::path(place), self)
    }
}

fn lock(root: &Root, directory: &str, holder: &str) -> Result<Lock, Failed> {
    lock::take(root, &lock::name_of("register", directory), holder, WAIT)
}

/// Enters a consumer; another one of the same name is a conflict.
pub(super) fn enter(root: &Root, directory: &str, consumer: &Consumer) -> Result<(), Failed> {
    let Consumer { name, id } = consumer;
    if name.is_empty() || id.is_empty() {
        return Err(Failed::invalid(
            "consumer",
            "a consumer comes without name or id",
        ));
    }
    let place = root.wanted(directory)?;
    let _lock = lock(root, directory, name)?;
    let mut register = Register::load(&place)?;
    match register.consumers.get(name) {
        Some(known) if known == id => Ok(()),
        Some(known) => Err(Failed::new(
            Kind::Conflict,
            name,
            format!(
                "this CA already serves another consumer named {name}, made under the id {known}"
            ),
        )
        .hint(
            "Two of one name under one CA would let each other's clients in: choose another name \
             or another CA.",
        )),
        None => {
            register.consumers.insert(name.clone(), id.clone());
            register.save(&place)
        }
    }
}

/// Takes a consumer out.
pub(crate) fn forget(root: &Root, request: &ForgetConsumerRequest) -> Result<Outcome, Failed> {
    let directory = &request.ca_directory;
    let place = root.wanted(directory)?;
    let consumer = request.consumer.clone().unwrap_or_default();
    let _lock = lock(root, directory, &consumer.name)?;
    let mut register = Register::load(&place)?;
    if register.consumers.get(&consumer.name) != Some(&consumer.id) {
        return Ok(Outcome::NotNeeded);
    }
    register.consumers.remove(&consumer.name);
    register.save(&place)?;
    Ok(Outcome::Updated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: &str, id: &str) -> Consumer {
        Consumer {
            name: name.to_owned(),
            id: id.to_owned(),
        }
    }

    #[test]
    fn a_name_belongs_to_the_first_until_it_is_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let ca = "/etc/step-ca";
        enter(&root, ca, &consumer("k8s", "1")).expect("first");
        enter(&root, ca, &consumer("k8s", "1")).expect("again");
        let failed = enter(&root, ca, &consumer("k8s", "2")).expect_err("another");
        assert_eq!(failed.0.kind(), Kind::Conflict);
        let forget = |id: &str| {
            let request = ForgetConsumerRequest {
                ca_directory: ca.to_owned(),
                consumer: Some(consumer("k8s", id)),
            };
            forget(&root, &request).expect("no failure")
        };
        assert_eq!(forget("2"), Outcome::NotNeeded);
        assert_eq!(forget("1"), Outcome::Updated);
        enter(&root, ca, &consumer("k8s", "2")).expect("free now");
    }

    #[test]
    fn a_register_that_cannot_be_read_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Root::below(directory.path());
        let place = root.at("/etc/step-ca");
        std::fs::create_dir_all(&place).expect("a directory");
        std::fs::write(Register::path(&place), "{}").expect("a broken register");
        assert!(enter(&root, "/etc/step-ca", &consumer("k8s", "1")).is_err());
        assert_eq!(
            std::fs::read(Register::path(&place)).expect("still there"),
            b"{}"
        );
    }
}
