//! What stands against a creation on hosts, asked at plan and once more before it begins.

use futures::future::join_all;
use planner::{
    etcd_cluster::{self as cluster, Desired, Observed, Registered},
    facts::Fact,
    problem::Problems,
};

use super::{WHAT, look};
use crate::{
    creation,
    facts::{self, Facts},
    hosts::Hosts,
    session,
};

/// What stands against the creation, and what is to be known of an earlier one of the same name.
/// `replaced` is the uid of the object that it takes the place of, `registered` who has the name at the CA.
pub(super) async fn admission(
    hosts: &Hosts,
    desired: &Desired,
    observed: &Observed,
    replaced: Option<String>,
    registered: Option<Registered>,
) -> Problems {
    let mut problems = Problems::default();
    let unfinished = || session::unfinished(&observed.hosts).map(|journal| journal.id.clone());
    if replaced.is_none() {
        let begun = unfinished();
        cluster::check_begun(desired, observed, begun.as_deref(), &mut problems);
    }
    let id = replaced.or_else(unfinished);
    cluster::admit(desired, observed, id.as_deref(), &mut problems);
    if let Some(registered) = registered {
        cluster::check_name(desired, observed, id.as_deref(), &registered, &mut problems);
    }
    creation::goes_on(
        WHAT,
        &desired.name,
        &observed.hosts,
        &desired.wish(),
        &mut problems,
    );
    let left = cluster::leftovers(desired, observed);
    let looks = earlier(hosts, desired, &left).await;
    cluster::settle(desired, &left, &looks, &mut problems);
    problems
}

/// Asks the members that an earlier creation left, at the ports that it had.
async fn earlier(hosts: &Hosts, desired: &Desired, left: &[cluster::Leftover]) -> Facts {
    let looks = left.iter().filter_map(|left| {
        let reach = left.reach(&desired.name)?;
        let request = look::leftover(&reach);
        Some(async move {
            let fact = match hosts.observe(&left.key, request).await {
                Ok(response) => Fact::Known(facts::from_response(response, "")),
                Err(trouble) => Fact::Unknown(trouble.line()),
            };
            (left.key.clone(), fact)
        })
    });
    join_all(looks).await.into_iter().collect()
}
