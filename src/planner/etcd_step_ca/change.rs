//! Which changes of an existing CA are refused at plan.

use super::desired::Desired;
use crate::problem::Problems;

/// Changes of an existing CA that this release does not do.
pub fn refuse(prior: &Desired, wanted: &Desired, problems: &mut Problems) {
    for (attribute, is, should) in [
        ("name", prior.name.to_string(), wanted.name.to_string()),
        (
            "instance",
            prior
                .instance
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            wanted
                .instance
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        ("port", prior.port.to_string(), wanted.port.to_string()),
        (
            "provisioner_name",
            prior.provisioner.clone(),
            wanted.provisioner.clone(),
        ),
    ] {
        if is != should {
            problems.error(
                &[attribute],
                format!("{attribute} cannot change"),
                format!(
                    "It is \"{is}\" and would be \"{should}\". Every certificate and every renewal \
                     depends on it. Nothing was changed."
                ),
            );
        }
    }
    let places = |desired: &Desired| -> Vec<String> {
        desired
            .nodes
            .iter()
            .map(|(key, node)| format!("{key} at {}", node.address))
            .collect()
    };
    if places(prior) != places(wanted) {
        problems.error(
            &["nodes"],
            "The CA cannot move yet",
            format!(
                "Its nodes are {} and would be {}. Its keys live there and nowhere else. Nothing was \
                 changed.",
                places(prior).join(", "),
                places(wanted).join(", ")
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        etcd_step_ca::{
            Wish,
            fixture::{read, wish},
        },
        problem::Problem,
    };

    fn check(change: impl Fn(&mut Wish)) -> Vec<String> {
        let mut other = wish();
        change(&mut other);
        let mut problems = Problems::default();
        refuse(&read(&wish()), &read(&other), &mut problems);
        let line = |problem: Problem| {
            assert!(problem.is_error && problem.detail.ends_with("Nothing was changed."));
            format!("{}: {}", problem.place.join("."), problem.summary)
        };
        problems.0.into_iter().map(line).collect()
    }

    #[test]
    fn refuses_what_certificates_depend_on() {
        let name = check(|wish| wish.name = "other".to_owned());
        assert_eq!(name, ["name: name cannot change"]);
        let instance = check(|wish| wish.instance = Some("b".to_owned()));
        assert_eq!(instance, ["instance: instance cannot change"]);
        let port = check(|wish| wish.port = Some(9001));
        assert_eq!(port, ["port: port cannot change"]);
        let provisioner = check(|wish| wish.provisioner = Some("p".to_owned()));
        assert_eq!(
            provisioner,
            ["provisioner_name: provisioner_name cannot change"]
        );
        let moved = check(|wish| {
            wish.nodes.get_mut("1").expect("a node").host = "10.0.1.20".to_owned();
        });
        assert_eq!(moved, ["nodes: The CA cannot move yet"]);
    }

    #[test]
    fn lets_lifetimes_and_names_change() {
        let harmless = check(|wish| {
            wish.default_lifetime = Some("24h".to_owned());
            let node = wish.nodes.get_mut("1").expect("a node");
            node.server_sans = vec!["ca.example".to_owned()];
            node.address = Some("10.0.1.10".to_owned());
            node.host = "ca1.example".to_owned();
        });
        assert_eq!(harmless, Vec::<String>::new());
    }
}
