//! What stands against a creation on a host, asked at plan and once more before it begins.

use planner::{
    etcd_step_ca::{self as planner_ca, Desired, Observed},
    problem::Problems,
};

use super::WHAT;
use crate::{creation, session};

/// What stands against the creation, and what is to be known of an earlier one of the same name.
/// `replaced` is the uid of the object that it takes the place of.
pub(super) fn admission(
    desired: &Desired,
    observed: &Observed,
    replaced: Option<String>,
) -> Problems {
    let mut problems = Problems::default();
    let unfinished = || session::unfinished(&observed.hosts).map(|journal| journal.id.clone());
    let id = replaced.or_else(unfinished);
    planner_ca::admit(desired, observed, id.as_deref(), &mut problems);
    let name = &desired.name;
    creation::goes_on(WHAT, name, &observed.hosts, &desired.wish(), &mut problems);
    // Nothing has certificates from a CA that is in no state, so nothing in another one is of value.
    for (key, fact) in &observed.hosts {
        let Some(host) = fact.known() else { continue };
        let other = host.journal.as_ref();
        let Some(journal) = other.filter(|journal| journal.wish != desired.wish()) else {
            continue;
        };
        let consumers = host.ca.as_ref().map(|ca| ca.consumers.join(", "));
        let called = desired.called(key);
        match consumers.filter(|consumers| !consumers.is_empty()) {
            Some(consumers) => problems.error(
                &["name"],
                format!("An earlier creation of CA {name} is in use"),
                format!(
                    "{} began it on {called} with other settings and did not finish it, and {consumers} \
                     has certificates from it. Set those again and apply: then it is completed. Nothing \
                     was changed.",
                    journal.by
                ),
            ),
            None => problems.warning(
                &["name"],
                format!("What an earlier creation of CA {name} left is removed first"),
                format!(
                    "{} began it on {called} with other settings and did not finish it. Nobody has \
                     certificates from it.",
                    journal.by
                ),
            ),
        }
    }
    problems
}
