//! What a person should know of a CA although no apply mends it.

use super::{desired::Desired, names, observed::Observed, render};
use crate::{drop_in, problem::Problems};

/// Collects it as warnings.
pub fn warnings(desired: &Desired, observed: &Observed, problems: &mut Problems) {
    let name = names::unit(desired.instance.as_ref());
    for (key, node) in &desired.nodes {
        let Some(host) = observed.host(key) else {
            continue;
        };
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
