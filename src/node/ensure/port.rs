//! Ports that an owner claims.

use crate::{failure::Failed, ledger::Ledger, observe, proto::failure::Kind};

/// Enters the claim, unless another owner has a port or a process that is not the owner's listens on
/// it.
pub(super) fn claim(
    ledger: &mut Ledger,
    owner: &str,
    id: &str,
    wanted: &[u32],
) -> Result<(), Failed> {
    let mut ports = Vec::new();
    for port in wanted {
        let number = u16::try_from(*port).ok().filter(|port| *port != 0);
        let number = number
            .ok_or_else(|| Failed::invalid(port.to_string(), format!("{port} is not a port")))?;
        let other = ledger
            .owners
            .iter()
            .find(|(name, entry)| *name != owner && entry.ports.contains(&number));
        if let Some((name, _)) = other {
            return Err(Failed::new(
                Kind::Conflict,
                port.to_string(),
                format!("port {port} belongs to {name} on this host"),
            )
            .hint("Choose another port."));
        }
        ports.push(number);
    }
    let former = &ledger.owner_mut(owner, id)?.ports.clone();
    let new: Vec<u32> = ports
        .iter()
        .filter(|port| !former.contains(port))
        .map(|port| u32::from(*port))
        .collect();
    for fact in observe::ports(&new, ledger) {
        // An adopted member listens already.
        let is_own = !fact.unit.is_empty() && ledger.units(owner).any(|unit| unit == fact.unit);
        if fact.listening && !is_own {
            let process = match (fact.process.as_str(), fact.unit.as_str()) {
                ("", _) => "another process".to_owned(),
                (process, "") => process.to_owned(),
                (process, unit) => format!("{process} ({unit})"),
            };
            return Err(Failed::new(
                Kind::PortTaken,
                fact.port.to_string(),
                format!("{process} listens on port {}", fact.port),
            )
            .hint("Stop it, or choose another port."));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ledger.owner_mut(owner, id)?.ports = ports;
    Ok(())
}
