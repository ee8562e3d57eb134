//! What is on this host, for a person.

use std::fmt::Write;

use crate::{
    clock, ensure,
    failure::Failed,
    imager, journal,
    ledger::{ItemKind, Ledger, has_extension},
    lock, observe, record,
    root::Root,
    unit,
};

/// Everything that we made here, in words; secrets have none. Must be called from a thread for
/// blocking work.
///
/// # Errors
/// One sentence, if what we keep here cannot be read.
pub fn status() -> Result<String, String> {
    text(&Root::host()).map_err(|failed| format!("{failed}. {}", failed.0.hint))
}

fn text(root: &Root) -> Result<String, Failed> {
    let ledger = Ledger::load(root)?;
    let mut out = format!("etcd-node {}\n", record::VERSION);
    if let Some(version) = ensure::timer_helper_version(root) {
        line(&mut out, &format!("timers use etcd-node {version}"));
    }
    if ledger.owners.is_empty() && !imager::any(root)? {
        line(&mut out, "nothing was made here");
    }
    for (name, owner) in &ledger.owners {
        let ports: Vec<String> = owner.ports.iter().map(u16::to_string).collect();
        let ports = if ports.is_empty() {
            String::new()
        } else {
            format!(", ports {}", ports.join(" "))
        };
        line(&mut out, &format!("\n{name} (id {}{ports})", owner.id));
        let units: Vec<String> = ledger.units(name).map(str::to_owned).collect();
        for fact in unit::facts(&units)? {
            let next = match fact.next_elapse_ms {
                0 => String::new(),
                at => format!(", next {}", clock::text(at)),
            };
            line(
                &mut out,
                &format!(
                    "  {} {} ({}){next}",
                    fact.name, fact.active_state, fact.unit_file_state
                ),
            );
        }
        for (path, item) in &owner.items {
            let file = observe::certificate(root, path, "");
            if item.kind == ItemKind::File && has_extension(path, "crt") && file.not_after_ms != 0 {
                line(
                    &mut out,
                    &format!("  {path} good until {}", clock::text(file.not_after_ms)),
                );
            } else if item.kind == ItemKind::Data {
                line(&mut out, &format!("  {path} holds its data"));
            }
        }
    }
    for entry in journal::all(root)? {
        line(
            &mut out,
            &format!(
                "\nunfinished: {} since {}, {} by {}",
                entry.owner,
                clock::text(entry.started_ms),
                entry.phase,
                entry.by
            ),
        );
    }
    for build in imager::all(root)? {
        line(
            &mut out,
            &format!(
                "\nbuilt: {} of {} bytes, {} by {}",
                build.path,
                build.size_bytes,
                clock::text(build.built_ms),
                build.built_by
            ),
        );
    }
    for (name, holder) in lock::all(root) {
        line(&mut out, &format!("locked: {name} by {holder}"));
    }
    Ok(out)
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("memory takes everything");
}
