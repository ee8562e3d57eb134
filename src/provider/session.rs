//! What surrounds a change: the resource's lock on its hosts, its uid, the journal of its creation.

use aws_lc_rs::rand;
use futures::future::join_all;
use host::proto::{
    ClearJournalRequest, JournalEntry, LockRequest, RemoveRequest, UnlockRequest,
    WriteJournalRequest,
};
use planner::{
    facts::{Fact, HostFacts},
    name::NodeKey,
};

use crate::{facts::Facts, hosts::Hosts, report::Trouble};

/// How long another apply of the same resource is waited for, in milliseconds. A killed one gives
/// its locks back when its helpers notice, which takes seconds.
const LOCK_WAIT_MS: u32 = 20_000;

/// A new uid: 16 hexadecimal digits.
pub(crate) fn new_id() -> String {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system has random numbers");
    hex::encode(bytes)
}

/// The uid under which an earlier creation of the same wish was begun and not finished.
pub(crate) fn begun(facts: &Facts, wish: &str) -> Option<String> {
    facts
        .values()
        .filter_map(Fact::known)
        .filter_map(|host| host.journal.as_ref())
        .find(|journal| journal.wish == wish)
        .map(|journal| journal.id.clone())
}

/// The uid of a creation that was not finished, whatever its wish was.
pub(crate) fn unfinished(facts: &Facts) -> Option<String> {
    facts
        .values()
        .filter_map(Fact::known)
        .find_map(|host| host.journal.as_ref())
        .map(|journal| journal.id.clone())
}

/// The lock of a resource, held by the helpers on its hosts.
pub(crate) struct Locked<'a> {
    hosts: &'a Hosts,
    name: String,
    keys: Vec<NodeKey>,
}

/// Takes the lock of a resource on all hosts that can be reached, in an order that all agree on.
///
/// # Errors
/// [`Trouble`] if somebody else has it, or if fewer than a majority can be reached.
pub(crate) async fn lock<'a>(
    hosts: &'a Hosts,
    name: &str,
    facts: &Facts,
) -> Result<Locked<'a>, Trouble> {
    let mut order: Vec<(&str, &NodeKey)> = facts
        .iter()
        .filter_map(|(key, fact)| Some((fact.known()?.machine_id.as_str(), key)))
        .collect();
    order.sort();
    let mut locked = Locked {
        hosts,
        name: name.to_owned(),
        keys: Vec::new(),
    };
    for (_, key) in &order {
        let request = LockRequest {
            name: name.to_owned(),
            holder: hosts.context().operator.clone(),
            wait_ms: LOCK_WAIT_MS,
        };
        let taken = hosts
            .call(key, "Lock", |mut client| async move {
                client.lock(request).await
            })
            .await;
        match taken {
            Ok(_) => locked.keys.push((*key).clone()),
            Err(trouble) if trouble.is_unreachable() => {}
            Err(trouble) => {
                locked.release().await;
                return Err(trouble);
            }
        }
    }
    if locked.keys.len() * 2 > facts.len() {
        return Ok(locked);
    }
    let count = locked.keys.len();
    locked.release().await;
    Err(Trouble::Refused {
        why: format!(
            "only {count} of {} hosts can be reached, and a change needs more than half of them, or two \
             people could change {name} at once",
            facts.len()
        ),
        hint: "bring the hosts back and run apply again; nothing was changed.".to_owned(),
    })
}

impl Locked<'_> {
    /// Gives the lock back. One that cannot be told ends with its connection.
    pub(crate) async fn release(self) {
        let releases = self.keys.iter().map(|key| {
            let request = UnlockRequest {
                name: self.name.clone(),
            };
            self.hosts.call(key, "Unlock", |mut client| async move {
                client.unlock(request).await
            })
        });
        for release in join_all(releases).await {
            if let Err(trouble) = release {
                tracing::debug!(error = %trouble, "a lock could not be given back");
            }
        }
    }
}

/// Writes on all hosts that a creation has begun.
pub(crate) async fn begin(hosts: &Hosts, owner: &str, id: &str, wish: &str) -> Result<(), Trouble> {
    let writes = hosts.keys().map(|key| {
        let entry = JournalEntry {
            owner: owner.to_owned(),
            id: id.to_owned(),
            wish: wish.to_owned(),
            by: hosts.context().operator.clone(),
            started_ms: 0,
            phase: "creating".to_owned(),
        };
        let request = WriteJournalRequest { entry: Some(entry) };
        hosts.call(key, "WriteJournal", |mut client| async move {
            client.write_journal(request).await
        })
    });
    join_all(writes)
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

/// Leaves the entry of a creation out of what is remembered: by the answer that carries this, its object
/// stands in a state. The entry itself goes with the next read; a plan without a refresh needs no step
/// for that.
pub(crate) fn without_journal(mut facts: Facts, id: &str) -> Facts {
    for fact in facts.values_mut() {
        if let Fact::Known(host) = fact {
            host.journal = host.journal.take().filter(|journal| journal.id != id);
        }
    }
    facts
}

/// Takes the entry of a creation away whose object stands in a state by now.
pub(crate) async fn claim(hosts: &Hosts, facts: &mut Facts, owner: &str, id: &str) {
    let claims = facts.iter_mut().filter_map(|(key, fact)| match fact {
        Fact::Known(host)
            if host
                .journal
                .as_ref()
                .is_some_and(|journal| journal.id == id) =>
        {
            Some((key, host))
        }
        _ => None,
    });
    let claims = claims.map(|(key, host)| async move {
        let request = ClearJournalRequest {
            owner: owner.to_owned(),
            id: id.to_owned(),
        };
        let cleared = hosts
            .call(key, "ClearJournal", |mut client| async move {
                client.clear_journal(request).await
            })
            .await;
        match cleared {
            Ok(_) => host.journal = None,
            Err(trouble) => tracing::warn!(error = %trouble, "a journal entry stays"),
        }
    });
    join_all(claims).await;
}

/// The uid of a creation: that of an earlier one that was not finished, or a new one.
///
/// What an earlier creation with another wish left behind is removed, because nothing of value can
/// be in it: `holds_value` says where that is not so.
///
/// # Errors
/// [`Trouble`] if it holds something, or if it cannot be removed.
pub(crate) async fn settle_id(
    hosts: &Hosts,
    facts: &Facts,
    owner: &str,
    wish: &str,
    holds_value: impl Fn(&HostFacts) -> bool,
) -> Result<String, Trouble> {
    let id = begun(facts, wish);
    for (key, fact) in facts {
        let Some(host) = fact.known() else { continue };
        let Some(journal) = host.journal.as_ref().filter(|journal| journal.wish != wish) else {
            continue;
        };
        if holds_value(host) {
            return Err(Trouble::Refused {
                why: format!(
                    "{} holds {owner} from an earlier creation ({}) with other nodes or ports",
                    hosts.target(key).host,
                    journal.by
                ),
                hint: "import it, or set the former nodes and ports again and apply.".to_owned(),
            });
        }
        tracing::info!(
            host = hosts.target(key).host,
            owner,
            "removing an unfinished creation"
        );
        let request = RemoveRequest {
            owner: owner.to_owned(),
            id: journal.id.clone(),
            delete_data: false,
            now_ms: host.now_ms,
        };
        hosts
            .call(key, "Remove", |mut client| async move {
                client.remove(request).await
            })
            .await?;
    }
    Ok(id.unwrap_or_else(new_id))
}
