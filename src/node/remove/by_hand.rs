//! Taking a resource off this host by hand, where no provider can any more.

use std::time::Duration;

use super::remove;
use crate::{
    ca::Register,
    clock,
    failure::Failed,
    ledger::{ItemKind, Ledger, Owner},
    lock,
    proto::{RemoveRequest, failure::Kind},
    root::Root,
};

/// Who holds the lock meanwhile.
const OPERATOR: &str = "a person on this host";

/// Takes what `owner` made under `id` off this host. Its data is kept; what it says is for a person.
/// Must be called from a thread for blocking work.
///
/// # Errors
/// One sentence: nobody has that name and id here, an apply is at work, or something cannot be removed.
pub fn leave(owner: &str, id: &str) -> Result<String, String> {
    at(&Root::host(), owner, id).map_err(|failed| format!("{failed}. {}", failed.0.hint))
}

fn at(root: &Root, owner: &str, id: &str) -> Result<String, Failed> {
    let ledger = Ledger::load(root)?;
    let known = ledger.owners.get(owner);
    if known.is_none_or(|known| known.id != id) {
        let here: Vec<String> = ledger
            .owners
            .iter()
            .map(|(name, owner)| format!("{name} {}", owner.id))
            .collect();
        return Err(Failed::invalid(
            owner,
            format!(
                "{owner} {id} is not on this host; here is: {}",
                here.join(", ")
            ),
        ));
    }
    if let Some(known) = known {
        refuse_in_use(root, owner, known)?;
    }
    let _lock = lock::take(root, owner, OPERATOR, Duration::ZERO)?;
    let request = RemoveRequest {
        owner: owner.to_owned(),
        id: id.to_owned(),
        delete_data: false,
        now_ms: clock::now_ms(),
    };
    let removed = remove(root, &request, OPERATOR)?;
    let kept = removed.kept.iter().map(|path| format!("kept {path}\n"));
    Ok(format!(
        "{owner} is off this host\n{}",
        kept.collect::<String>()
    ))
}

/// A CA whose certificates are in use stays: another one in its place would be trusted by nobody.
fn refuse_in_use(root: &Root, owner: &str, known: &Owner) -> Result<(), Failed> {
    let directories = known
        .items
        .iter()
        .filter(|(_, item)| item.kind == ItemKind::Data);
    for (directory, _) in directories {
        let consumers = Register::load(&root.at(directory))?.consumers;
        if !consumers.is_empty() {
            let names: Vec<String> = consumers.into_keys().collect();
            return Err(Failed::new(
                Kind::Conflict,
                owner,
                format!("{} have certificates from {owner}", names.join(", ")),
            )
            .hint("Destroy them first; without this CA their certificates cannot be renewed."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        ensure::tests::{directory, file, wish},
        test_host::TestHost,
    };

    #[test]
    fn takes_off_what_is_named_with_its_id_and_keeps_its_data() {
        const OWNER: &str = "etcd_cluster/a";
        const DATA: &str = "/var/lib/etcd/etcd-a-1";
        let host = TestHost::new();
        let items = vec![
            directory(DATA, false, true),
            file("/etc/etcd/a.yaml", "text"),
        ];
        wish(&host, OWNER, items).expect("made");
        host.write(&format!("{DATA}/member/wal/0"), "data");
        let id = Ledger::load(host.root()).expect("a ledger").owners[OWNER]
            .id
            .clone();
        let refused = at(host.root(), OWNER, "another").expect_err("another id");
        assert!(refused.0.message.contains(&id), "{refused}");
        assert!(host.exists("/etc/etcd/a.yaml"));
        host.write(
            &format!("{DATA}/consumers.json"),
            "{\"format\": 1, \"written_by\": \"test\", \"consumers\": {\"k8s\": \"1\"}}",
        );
        let refused = at(host.root(), OWNER, &id).expect_err("in use");
        assert!(refused.0.message.contains("k8s"), "{refused}");
        fs::remove_file(host.root().at(&format!("{DATA}/consumers.json"))).expect("removed");
        let said = at(host.root(), OWNER, &id).expect("removed");
        assert!(!host.exists("/etc/etcd/a.yaml"));
        let kept = said.lines().find_map(|line| line.strip_prefix("kept "));
        assert_eq!(
            host.read(&format!("{}/member/wal/0", kept.expect("data"))),
            "data"
        );
    }
}
