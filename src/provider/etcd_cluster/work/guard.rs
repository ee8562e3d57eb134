//! What stops a change before its next step, or makes it wait: other hosts, another cluster, facts that
//! changed, members that elect a leader.

use std::time::Duration;

use planner::{
    etcd_cluster::{self as cluster, Observed, Step},
    facts::{Fact, HostFacts},
};

use super::{ClusterWork, held};
use crate::{
    executor::{Retry, Work},
    report::Trouble,
};

/// How long members may be without a leader after a step of the change itself. Elections take seconds.
const ELECTION: Duration = Duration::from_secs(30);

impl ClusterWork<'_> {
    /// Whether these are the hosts that it began on, and what is on them is this cluster.
    pub(super) fn still_ours(&self, observed: &Observed) -> Result<(), Trouble> {
        let astray = cluster::astray(self.desired, observed, &self.machines);
        if !astray.is_empty() {
            return Err(Trouble::Refused {
                why: astray.join("; "),
                hint: "give each node the host that it had, and run plan again.".to_owned(),
            });
        }
        let hosts = || observed.hosts.values().filter_map(Fact::known);
        let is_ours = |host: &HostFacts| {
            let owner = host.owner.as_ref();
            owner.is_some_and(|owner| owner.id == self.desired.id)
        };
        if self.announced.is_some() && !hosts().any(is_ours) {
            return Err(Trouble::Refused {
                why: "no host that answers knows this cluster any more".to_owned(),
                hint: "see that the right hosts answer and that their disks are mounted, then run plan \
                       again."
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Why a host is not seen that was seen before in this run, as long as it is waited for.
    pub(super) fn went_away(&self, troubles: Vec<Trouble>) -> Option<Trouble> {
        let last = held(&self.last);
        troubles.into_iter().find(|trouble| {
            let key = trouble.key();
            let was_seen = key.is_some_and(|key| last.host(key).is_some());
            was_seen && trouble.is_unreachable() && self.retry(trouble) != Retry::Permanent
        })
    }

    /// A quorum that is away because of what this change did a moment ago.
    pub(super) fn settles(&self, observed: &Observed) -> Option<Trouble> {
        let changed = (*held(&self.changed))?;
        let waits = observed.members().is_none() && changed.elapsed() < ELECTION;
        waits.then(|| Trouble::NotYet("no member sees a quorum yet".to_owned()))
    }

    /// A disruptive step that nobody has agreed to.
    pub(super) fn unannounced(&self, wave: &[Step]) -> Option<Trouble> {
        let announced = self.announced.as_ref()?;
        let step = wave.iter().find(|step| {
            let follows = matches!(step, Step::MoveLeader { .. } | Step::PromoteLearner { .. });
            step.disrupts() && !follows && !announced.contains(&step.to_string())
        })?;
        Some(Trouble::Refused {
            why: format!("the facts changed since the plan: it did not say \"{step}\""),
            hint: "run plan again, read what it says now, and apply that.".to_owned(),
        })
    }
}
