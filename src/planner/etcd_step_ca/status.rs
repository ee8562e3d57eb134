//! The CA's state in one line.

use super::{desired::Desired, names, observed::Observed};
use crate::{drop_in, facts::Fact};

/// `ready`, or what is missing.
pub fn status(desired: &Desired, observed: &Observed) -> String {
    let called = desired.called(&desired.active);
    match observed.hosts.get(&desired.active) {
        None => format!("{called} was not looked at"),
        Some(Fact::Unknown(why)) => format!("{called} is unreachable: {why}"),
        Some(Fact::Known(host)) => match &host.ca {
            Some(ca) if host.owner.is_some() && !ca.lost.is_empty() => format!(
                "step-ca on {called} will not start again: {} is missing",
                ca.lost.join(", ")
            ),
            Some(ca) if ca.healthy => "ready".to_owned(),
            Some(ca) if ca.present => {
                let unit = host.units.get(&names::unit(desired.instance.as_ref()));
                format!(
                    "step-ca on {called} does not answer{}",
                    drop_in::because(unit)
                )
            }
            _ => format!("there is no CA on {called}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd_step_ca::fixture::{bare, host, lost, read, seen, stop, wish};

    #[test]
    fn is_ready_when_the_active_node_answers() {
        let desired = read(&wish());
        let mut host = host(&desired);
        assert_eq!(status(&desired, &seen(host.clone())), "ready");
        let mut torn = host.clone();
        torn.ca.as_mut().expect("a CA").lost = vec!["/etc/step-ca/x".to_owned()];
        stop(&mut host);
        for (observed, expected) in [
            (seen(host), "step-ca on 1 (10.0.1.10) does not answer"),
            (
                seen(torn),
                "step-ca on 1 (10.0.1.10) will not start again: /etc/step-ca/x is missing",
            ),
            (seen(bare()), "there is no CA on 1 (10.0.1.10)"),
            (lost(), "1 (10.0.1.10) is unreachable: connection timed out"),
            (Observed::default(), "1 (10.0.1.10) was not looked at"),
        ] {
            assert_eq!(status(&desired, &observed), expected);
        }
    }
}
