//! What a person should know of a CA although no apply mends it.

use super::{desired::Desired, names, observed::Observed, render};
use crate::{drop_in, problem::Problems};

/// A year: time enough to move every cluster to another CA.
const SOON_MS: i64 = 365 * 24 * 3_600_000;

/// That a certificate of the CA itself ends.
fn ends(desired: &Desired, host: &str, what: &str, left_ms: i64) -> (String, String) {
    let when = if left_ms <= 0 {
        "has expired".to_owned()
    } else {
        format!("ends in {} days", left_ms / (24 * 3_600_000))
    };
    (
        format!("CA {}: its {what} on {host} {when}", desired.name),
        "Every certificate that it signed ends with it, and all members refuse each other from then on. No \
         apply renews it yet.\nHint: Sign the intermediate anew with the key of the root (`step certificate \
         sign`), or make a CA of another name and new clusters under it, before that day."
            .to_owned(),
    )
}

/// Collects it as warnings.
pub fn warnings(desired: &Desired, observed: &Observed, problems: &mut Problems) {
    let name = names::unit(desired.instance.as_ref());
    for (key, node) in &desired.nodes {
        let Some(host) = observed.host(key) else {
            continue;
        };
        for (what, not_after_ms) in host.ca.iter().flat_map(|ca| {
            [
                ("intermediate", ca.intermediate_not_after_ms),
                ("root", ca.root_not_after_ms),
            ]
        }) {
            let left_ms = not_after_ms - host.now_ms;
            if not_after_ms != 0 && host.now_ms != 0 && left_ms < SOON_MS {
                let (summary, detail) = ends(desired, &node.host, what, left_ms);
                problems.warning(&[], summary, detail);
            }
        }
        let file = host.files.get(&render::file(desired).path);
        if let Some(unit) = host.units.get(&name)
            && let Some(drop_ins) = drop_in::overriding(unit, file)
        {
            let what = format!("CA {}", desired.name);
            let (summary, detail) = drop_in::warning(&what, &name, &node.host, unit, &drop_ins);
            problems.warning(&[], summary, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_step_ca::fixture::{host, read, seen, wish};

    #[test]
    fn the_end_of_the_ca_itself_is_told_a_year_before() {
        const DAY_MS: i64 = 24 * 3_600_000;
        let desired = read(&wish());
        let told = |days: i64| {
            let mut host = host(&desired);
            host.now_ms = 1_700_000_000_000;
            let ca = host.ca.as_mut().expect("a CA");
            ca.root_not_after_ms = host.now_ms + 4000 * DAY_MS;
            ca.intermediate_not_after_ms = host.now_ms + days * DAY_MS;
            let mut problems = Problems::default();
            warnings(&desired, &seen(host), &mut problems);
            let summaries = problems.0.into_iter().map(|problem| problem.summary);
            summaries.collect::<Vec<_>>()
        };
        assert_eq!(told(400), Vec::<String>::new());
        assert_eq!(
            told(300),
            ["CA main: its intermediate on 10.0.1.10 ends in 300 days"]
        );
        assert_eq!(
            told(-1),
            ["CA main: its intermediate on 10.0.1.10 has expired"]
        );
    }

    #[test]
    fn a_drop_in_that_changes_what_is_started_is_told_and_is_no_reason_for_a_restart() {
        let desired = read(&wish());
        let told = |host| {
            let mut problems = Problems::default();
            warnings(&desired, &seen(host), &mut problems);
            problems.0.len()
        };
        let mut host = host(&desired);
        assert_eq!(told(host.clone()), 0);
        let unit = host.units.get_mut("step-ca.service").expect("a unit");
        unit.drop_ins = vec!["/etc/systemd/system/step-ca.service.d/a.conf".to_owned()];
        unit.exec_start = vec!["/bin/sleep 1000".to_owned()];
        unit.executable_sha256 = "other".to_owned();
        assert_eq!(told(host.clone()), 1);
        assert_eq!(
            crate::etcd_step_ca::drift(&desired, &seen(host)),
            Vec::<String>::new()
        );
    }
}
