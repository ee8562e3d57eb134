//! One build at a time, from whichever machine and on whichever build host: who builds says so in the
//! registry that the result goes to, and all others wait for him by name.
//!
//! A claim saves work and is no lock (see the registry's client): what must hold is said by the tags of
//! the results, which are looked at again once a claim is held. So a registry that takes no claims, for
//! want of a permission or because its tags cannot be moved, is no obstacle.

use std::{sync::Mutex, time::Duration};

use planner::talos_artifact::Tagged;
use registry::{Claim, Claimant, Claimed, Holder, Registries};
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, task::JoinHandle};

use super::look::reference;
use crate::{report, session};

/// For how long a claim holds after its owner was killed.
const LIFE: Duration = Duration::from_secs(30);
/// Between two renewals: several may fail before the claim is lost.
const RENEWAL: Duration = Duration::from_secs(8);
/// Before somebody else's claim is looked at again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The claims that one apply holds.
#[derive(Default)]
pub(super) struct Claims {
    held: Mutex<Vec<Held>>,
    told: Mutex<Option<String>>,
}

/// A claim that is renewed until it is given back.
struct Held {
    tag: String,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Where the claim on `content` stands: beside what it is about.
pub(super) fn place(repository: &str, content: &str) -> Tagged {
    let id = hex::encode(Sha256::digest(content.as_bytes()));
    Tagged {
        repository: repository.to_owned(),
        tag: format!("claim-{}", &id[..32]),
    }
}

impl Claims {
    /// Claims `tag` for `operator`; `Some` is who has it instead, after a moment of waiting.
    pub(super) async fn take(
        &self,
        registries: &Registries,
        tag: &Tagged,
        operator: &str,
    ) -> Option<Holder> {
        let text = tag.to_string();
        let is_held = |held: &Held| held.tag == text;
        if self
            .held
            .lock()
            .expect("no holder panics")
            .iter()
            .any(is_held)
        {
            return None;
        }
        let at = reference(&text).ok()?;
        let claimant = Claimant {
            name: operator.to_owned(),
            nonce: session::new_id(),
            life: LIFE,
        };
        match registries.claim(&at, claimant).await {
            Ok(Claimed::Held(claim)) => {
                let (end, ended) = oneshot::channel();
                let task = tokio::spawn(keep(claim, ended));
                let held = Held {
                    tag: text,
                    end,
                    task,
                };
                self.held.lock().expect("no holder panics").push(held);
                None
            }
            Ok(Claimed::Taken(holder)) => {
                self.tell(&text, &holder.name);
                tokio::time::sleep(PATIENCE).await;
                Some(holder)
            }
            Err(error) => {
                let error = report::chain(&error);
                tracing::warn!(tag = text, error, "nobody else is kept from the same build");
                None
            }
        }
    }

    /// Says once whom it waits for.
    pub(super) fn tell(&self, what: &str, whom: &str) {
        let mut told = self.told.lock().expect("no holder panics");
        if told.as_deref() == Some(whom) {
            return;
        }
        tracing::info!(what, whom, "somebody else makes it: waiting");
        *told = Some(whom.to_owned());
    }

    /// Gives all claims back, so that nobody waits for their lives to end.
    pub(super) async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().expect("no holder panics"));
        for held in held {
            let _ = held.end.send(());
            let _ = held.task.await;
        }
    }
}

/// Keeps a claim alive until it is told to end it, or loses it.
async fn keep(mut claim: Claim, mut ended: oneshot::Receiver<()>) {
    loop {
        if tokio::time::timeout(RENEWAL, &mut ended).await.is_ok() {
            if let Err(error) = claim.release().await {
                tracing::debug!(error = %report::chain(&error), "a claim ends by itself");
            }
            return;
        }
        match claim.renew().await {
            Ok(None) => {}
            Ok(Some(holder)) => {
                tracing::warn!(whom = holder.name, "the claim went to somebody else");
                return;
            }
            Err(error) => {
                tracing::debug!(error = %report::chain(&error), "a claim was not renewed");
            }
        }
    }
}
