//! What surrounds a change: the resource's lock on its hosts, its uid, the journal of its creation.

use aws_lc_rs::rand;
use futures::future::join_all;
use host::proto::{
    ClearJournalRequest, JournalEntry, LockRequest, RemoveRequest, UnlockRequest,
    WriteJournalRequest,
};
use planner::{
    facts::{Fact, JournalFact},
    name::NodeKey,
};

use crate::{
    common::ensured, executor::Ensure, facts::Facts, hosts::Hosts, in_state::InState,
    report::Trouble,
};

/// How long another apply of the same resource is waited for, in milliseconds. A killed one gives
/// its locks back when its helpers notice, which takes seconds.
const LOCK_WAIT_MS: u32 = 20_000;

/// Phase of a creation under way.
const CREATING: &str = "creating";

/// Phase of a creation that came to its end, until its object was seen in a state.
pub(crate) const MADE: &str = "made";

/// A new uid: 16 hexadecimal digits.
pub(crate) fn new_id() -> String {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system has random numbers");
    hex::encode(bytes)
}

/// A creation under this name that was begun and not handed back to anybody, whatever its wish was.
///
/// The entry is written on all hosts before anything else, and goes with the first read of the object
/// in a state: a host that has something of it and no entry says that somebody has it.
pub(crate) fn unfinished(facts: &Facts) -> Option<&JournalFact> {
    let hosts = || facts.values().filter_map(Fact::known);
    let journal = hosts().find_map(|host| host.journal.as_ref())?;
    let was_handed_back = hosts().any(|host| {
        let owner = host.owner.as_ref();
        host.journal.is_none() && owner.is_some_and(|owner| owner.id == journal.id)
    });
    (!was_handed_back).then_some(journal)
}

/// How long the answer of a creation that came to its end may have been lost, in milliseconds: whoever
/// sees that applies again at once.
const LOST_MS: i64 = 15 * 60 * 1000;

/// Leaves out the entries of creations that came to their end, but for those of the same wish that were
/// begun at the same place just now and stand in no state of this run: there the answer may have been lost.
/// Anybody else meets a thing that exists.
pub(crate) fn leave_made(facts: &mut Facts, origin: &str, wish: &str, in_state: &InState) {
    for fact in facts.values_mut() {
        if let Fact::Known(host) = fact {
            let now_ms = host.now_ms;
            let may_be_lost = |entry: &JournalFact| {
                entry.by == origin
                    && entry.wish == wish
                    && now_ms - entry.since_ms < LOST_MS
                    && !in_state.has(&entry.id)
            };
            let entry = host.journal.take();
            host.journal = entry.filter(|entry| !entry.is_made || may_be_lost(entry));
        }
    }
}

/// Who began what a creation of the same wish goes on with.
pub(crate) fn continued(facts: &Facts, wish: &str) -> Option<String> {
    let journal = unfinished(facts).filter(|journal| journal.wish == wish)?;
    Some(journal.by.clone())
}

/// The lock of a resource, held by the helpers on its hosts.
pub(crate) struct Locked<'a> {
    hosts: &'a Hosts,
    name: String,
    /// Tells this change from others of the same process.
    token: String,
    /// Nodes whose machines are known, in an order that all agree on.
    order: Vec<NodeKey>,
    /// How many nodes there are.
    nodes: usize,
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
    let (locked, count) = lock_reached(hosts, name, facts).await?;
    if locked.is_enough(count) {
        return Ok(locked);
    }
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

/// Takes the lock on the hosts that can be reached, however few, and says on how many: for a deletion,
/// which goes on later where a host is away.
///
/// # Errors
/// [`Trouble`] if somebody else has it.
pub(crate) async fn lock_reached<'a>(
    hosts: &'a Hosts,
    name: &str,
    facts: &Facts,
) -> Result<(Locked<'a>, usize), Trouble> {
    let mut order: Vec<(&str, &NodeKey)> = facts
        .iter()
        .filter_map(|(key, fact)| Some((fact.known()?.machine_id.as_str(), key)))
        .collect();
    order.sort();
    let locked = Locked {
        hosts,
        name: name.to_owned(),
        token: new_id(),
        order: order.into_iter().map(|(_, key)| key.clone()).collect(),
        nodes: facts.len(),
    };
    let mut count = 0;
    for key in &locked.order {
        match locked.take(key, LOCK_WAIT_MS).await {
            Ok(()) => count += 1,
            Err(trouble) if trouble.is_unreachable() => {}
            Err(trouble) => {
                locked.release().await;
                return Err(trouble);
            }
        }
    }
    Ok((locked, count))
}

impl Locked<'_> {
    fn is_enough(&self, count: usize) -> bool {
        count * 2 > self.nodes
    }

    async fn take(&self, key: &NodeKey, wait_ms: u32) -> Result<(), Trouble> {
        let request = LockRequest {
            name: self.name.clone(),
            holder: self.hosts.context().operator.clone(),
            wait_ms,
            token: self.token.clone(),
        };
        let taken = self.hosts.call(key, "Lock", |mut client| async move {
            client.lock(request).await
        });
        taken.await.map(|_| ())
    }

    /// Sees that the lock is still held, and takes it again where the helper that held it went away:
    /// what is done next must not meet somebody else's change.
    ///
    /// # Errors
    /// [`Trouble`] if somebody else took it meanwhile, or if fewer than a majority can be reached.
    pub(crate) async fn keep(&self) -> Result<(), Trouble> {
        let taken = join_all(self.order.iter().map(|key| self.take(key, 0))).await;
        let (mut count, mut away) = (0, None);
        for one in taken {
            match one {
                Ok(()) => count += 1,
                Err(trouble) if trouble.is_unreachable() => away = Some(trouble),
                Err(trouble) => return Err(trouble),
            }
        }
        match away {
            Some(trouble) if !self.is_enough(count) => Err(trouble),
            _ => Ok(()),
        }
    }

    /// Gives the lock back. One that cannot be told ends with its connection.
    pub(crate) async fn release(self) {
        let releases = self.order.iter().map(|key| {
            let request = UnlockRequest {
                name: self.name.clone(),
                token: self.token.clone(),
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
///
/// # Errors
/// [`Trouble`] of the first host where it cannot be written.
pub(crate) async fn begin(hosts: &Hosts, owner: &str, id: &str, wish: &str) -> Result<(), Trouble> {
    let written = write(hosts, owner, id, wish, CREATING).await;
    written.into_iter().collect()
}

/// Writes, as the last act of a creation, that it came to its end: from now on only who made it may take
/// it for a creation of his, and only until it was read in a state.
pub(crate) async fn hand_back(hosts: &Hosts, owner: &str, id: &str, wish: &str) {
    for written in write(hosts, owner, id, wish, MADE).await {
        if let Err(trouble) = written {
            tracing::warn!(error = %trouble, "a journal entry stays open");
        }
    }
}

async fn write(
    hosts: &Hosts,
    owner: &str,
    id: &str,
    wish: &str,
    phase: &str,
) -> Vec<Result<(), Trouble>> {
    let writes = hosts.keys().map(|key| async move {
        let entry = JournalEntry {
            owner: owner.to_owned(),
            id: id.to_owned(),
            wish: wish.to_owned(),
            by: hosts.context().origin.clone(),
            started_ms: 0,
            phase: phase.to_owned(),
        };
        let request = WriteJournalRequest { entry: Some(entry) };
        let written = hosts.call(key, "WriteJournal", |mut client| async move {
            client.write_journal(request).await
        });
        written.await.map(|_| ())
    });
    join_all(writes).await
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

/// Takes the entry of a creation away on one host.
///
/// # Errors
/// [`Trouble`] of the call.
pub(crate) async fn clear(
    hosts: &Hosts,
    key: &NodeKey,
    owner: &str,
    id: &str,
) -> Result<Ensure, Trouble> {
    let request = ClearJournalRequest {
        owner: owner.to_owned(),
        id: id.to_owned(),
    };
    let cleared = hosts.call(key, "ClearJournal", |mut client| async move {
        client.clear_journal(request).await
    });
    Ok(ensured(cleared.await?.outcome()))
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
        match clear(hosts, key, owner, id).await {
            Ok(_) => host.journal = None,
            Err(trouble) => tracing::warn!(error = %trouble, "a journal entry stays"),
        }
    });
    join_all(claims).await;
}

/// The uid of a creation: that of an earlier one of the same wish that was not finished, or a new one.
///
/// What an earlier creation with another wish left behind is removed: the caller has seen on every host
/// that nothing of value is in it.
///
/// # Errors
/// [`Trouble`] if it cannot be removed.
pub(crate) async fn settle_id(
    hosts: &Hosts,
    facts: &Facts,
    owner: &str,
    wish: &str,
) -> Result<String, Trouble> {
    let journals = facts
        .iter()
        .filter_map(|(key, fact)| Some((key, fact.known()?)))
        .filter_map(|(key, host)| Some((key, host, host.journal.as_ref()?)));
    let mut begun = None;
    for (key, host, journal) in journals {
        if journal.wish == wish {
            begun.get_or_insert_with(|| journal.id.clone());
            continue;
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
    Ok(begun.unwrap_or_else(new_id))
}

#[cfg(test)]
mod tests {
    use planner::facts::{HostFacts, OwnerFact};
    use tf_plugin::Value;

    use super::*;

    fn host(owner: Option<&str>, journal: Option<&str>) -> Fact<HostFacts> {
        Fact::Known(HostFacts {
            owner: owner.map(|id| OwnerFact {
                id: id.to_owned(),
                ..OwnerFact::default()
            }),
            journal: journal.map(|id| JournalFact {
                id: id.to_owned(),
                wish: "w".to_owned(),
                by: "ops".to_owned(),
                ..JournalFact::default()
            }),
            ..HostFacts::default()
        })
    }

    fn facts(hosts: [Fact<HostFacts>; 3]) -> Facts {
        let key = |index: usize| NodeKey::parse(&index.to_string()).expect("a key");
        let hosts = hosts.into_iter().enumerate();
        hosts.map(|(index, host)| (key(index), host)).collect()
    }

    fn id(facts: &Facts) -> Option<&str> {
        unfinished(facts).map(|journal| journal.id.as_str())
    }

    #[test]
    fn a_creation_is_unfinished_until_it_was_handed_back() {
        let bare = || host(None, None);
        let begun = || host(Some("1"), Some("1"));
        assert_eq!(id(&facts([bare(), bare(), bare()])), None);
        assert_eq!(id(&facts([begun(), begun(), begun()])), Some("1"));
        // Cut off while the entries were written, or a host that was made anew since.
        assert_eq!(id(&facts([begun(), bare(), bare()])), Some("1"));
        let away = Fact::Unknown("it is off".to_owned());
        assert_eq!(id(&facts([begun(), away, begun()])), Some("1"));
        // One entry is left of a cluster that somebody has.
        let handed_back = host(Some("1"), None);
        assert_eq!(id(&facts([begun(), handed_back, bare()])), None);
    }

    #[test]
    fn what_came_to_its_end_is_gone_on_with_only_where_it_was_begun() {
        let made = || {
            let Fact::Known(mut host) = host(Some("1"), Some("1")) else {
                unreachable!("a host that was seen")
            };
            let journal = host.journal.as_mut().expect("an entry");
            journal.is_made = true;
            journal.since_ms = host.now_ms - 60_000;
            Fact::Known(host)
        };
        let nothing = InState::default();
        let seen = |origin: &str, hosts| {
            let mut facts = facts(hosts);
            leave_made(&mut facts, origin, "w", &nothing);
            id(&facts).map(str::to_owned)
        };
        assert_eq!(seen("ops", [made(), made(), made()]).as_deref(), Some("1"));
        assert_eq!(seen("another", [made(), made(), made()]), None);
        let mut other = facts([made(), made(), made()]);
        leave_made(&mut other, "ops", "another wish", &nothing);
        assert_eq!(id(&other), None);
        // It stands in a state, or whoever lost its answer would have seen that long ago.
        let in_state = InState::default();
        let object = Value::object([("id", Value::string("1"))]);
        in_state.note("etcd_cluster/k8s".to_owned(), &object);
        let mut known = facts([made(), made(), made()]);
        leave_made(&mut known, "ops", "w", &in_state);
        assert_eq!(id(&known), None);
        let late = || {
            let Fact::Known(mut host) = made() else {
                unreachable!("a host that was seen")
            };
            host.now_ms += LOST_MS;
            Fact::Known(host)
        };
        assert_eq!(seen("ops", [late(), late(), late()]), None);
        // One host could not be told that it came to its end.
        let begun = || host(Some("1"), Some("1"));
        assert_eq!(seen("another", [begun(), made(), begun()]), None);
        assert_eq!(
            seen("another", [begun(), begun(), begun()]).as_deref(),
            Some("1")
        );
    }

    #[test]
    fn goes_on_only_with_the_same_wish() {
        let begun = || host(Some("1"), Some("1"));
        let facts = facts([begun(), begun(), begun()]);
        assert_eq!(continued(&facts, "w").as_deref(), Some("ops"));
        assert_eq!(continued(&facts, "other"), None);
    }
}
