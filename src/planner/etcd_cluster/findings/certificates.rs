//! The three certificates of a member and their keys.

use super::{Finding, Remedy, drift, wanted};
use crate::{
    etcd_cluster::{
        certificate::{CERTIFICATE_MODE, KEY_MODE, Role, subject},
        desired::Desired,
        names,
    },
    facts::{CertificateFact, HostFacts},
    name::NodeKey,
    node::Node,
};

pub(super) fn certificates(
    desired: &Desired,
    key: &NodeKey,
    node: &Node,
    host: &HostFacts,
    found: &mut Vec<Finding>,
) {
    for role in Role::ALL {
        let remedy = Remedy::Issue(role);
        let stem = names::certificate_stem(&desired.name, key, role.as_str());
        let path = format!("{stem}.crt");
        let Some(certificate) = host.certificates.get(&path).filter(|fact| fact.present) else {
            found.push(drift(format!("{role} certificate is missing"), remedy));
            continue;
        };
        if !certificate.error.is_empty() {
            found.push(drift(format!("{path} is not a certificate"), remedy));
            continue;
        }
        let wanted_names = subject(desired, key, node, role);
        if !certificate.chain_error.is_empty() {
            found.push(drift(
                format!("{path} was not issued by {}", desired.issuer.name),
                remedy,
            ));
        } else if !certificate.key_matches {
            found.push(drift(
                format!("{role} certificate and {stem}.key do not belong together"),
                remedy,
            ));
        } else if certificate.key_mode & 0o077 != 0
            || certificate.key_mode & KEY_MODE == 0
            || certificate.key_user != names::USER
        {
            found.push(drift(
                format!(
                    "{stem}.key has mode {:04o} and owner {}, wanted {KEY_MODE:04o} and {}",
                    certificate.key_mode,
                    certificate.key_user,
                    names::USER
                ),
                remedy,
            ));
        } else if sorted(&certificate.dns_names) != wanted_names.dns_names
            || sorted(&certificate.ip_addresses) != wanted_names.ip_addresses
            || lives_otherwise(certificate, desired)
        {
            found.push(wanted(remedy));
        }
        // An older build did not tell the owner.
        if !certificate.user.is_empty()
            && (certificate.mode != CERTIFICATE_MODE || certificate.user != names::USER)
        {
            found.push(drift(
                format!(
                    "{path} has mode {:04o} and owner {}, wanted {CERTIFICATE_MODE:04o} and {}",
                    certificate.mode,
                    certificate.user,
                    names::USER
                ),
                remedy,
            ));
        }
        if certificate.not_after_ms <= host.now_ms {
            found.push(drift(
                format!("the {role} certificate has expired, and nobody trusts it"),
                remedy,
            ));
        } else if is_late(certificate, host.now_ms) {
            found.push(drift(
                format!("renewal of the {role} certificate is overdue"),
                remedy,
            ));
        }
    }
}

/// By how much the life of a certificate may differ from the wish: the CA dates it back for clocks that are behind
/// (step-ca's `authority.backdate`, a minute).
const LIFE_SLACK_MS: i64 = 5 * 60_000;

/// Whether another life was wished for when it was issued. Renewal keeps it, so only a new one has the other.
fn lives_otherwise(certificate: &CertificateFact, desired: &Desired) -> bool {
    let life = certificate.not_after_ms - certificate.not_before_ms;
    let wanted = i64::from(desired.certificate_lifetime_s) * 1000;
    (life - wanted).abs() > LIFE_SLACK_MS
}

/// Two thirds of a life; the timers look every quarter of an hour, so a day later somebody must know.
fn is_late(certificate: &CertificateFact, now_ms: i64) -> bool {
    let life = certificate.not_after_ms - certificate.not_before_ms;
    let due = certificate.not_before_ms + life / 3 * 2;
    let grace = (life / 10).min(24 * 3_600_000);
    now_ms > due + grace
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list.dedup();
    list
}
