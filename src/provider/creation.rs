//! What the creation of a resource on hosts begins with: whose name it takes, what it takes the place of,
//! and what it goes on with.

use std::fmt::Display;

use planner::{facts::Fact, name::Name, problem::Problems};
use tf_plugin::{Diagnostic, Diagnostics, Path, Value};

use crate::{
    common::{protected, text},
    context::{Context, Setup, When},
    facts::Facts,
    hosts::Hosts,
    life::ready,
    report::{Told, Trouble},
    session,
};

/// Remembers an object of the state: what is planned under its name later replaces it.
pub(crate) fn note(setup: &Setup, state: &Value, owner: impl Fn(&Name) -> String) {
    let name = text(state, "name").and_then(|name| Name::parse(&name).ok());
    if let (Ok(context), Some(name)) = (ready(setup), name) {
        context.in_state.note(owner(&name), state);
    }
}

/// Takes the name for a creation that is planned, and says what it takes the place of: the uid of that
/// object.
///
/// # Errors
/// Why that object may not be deleted.
pub(crate) fn plan(
    hosts: &Hosts,
    owner: &str,
    what: &str,
    facts: &Facts,
    diagnostics: &mut Diagnostics,
) -> Result<Option<String>, Diagnostics> {
    let context = hosts.context();
    let replaced = replaced(context, owner, what, facts, diagnostics)?;
    let names = hosts.keys().map(|key| hosts.target(key).host.as_str());
    if !context.names.take(When::Planned, owner, names) {
        diagnostics.push(twice(owner));
    }
    Ok(replaced)
}

/// Takes the ports of a creation that is planned, each with the attribute that gives it: of two creations
/// in one configuration no host knows anything yet.
pub(crate) fn take_ports(hosts: &Hosts, ports: &[(&str, u16)], diagnostics: &mut Diagnostics) {
    for (attribute, port) in ports {
        let names = hosts.keys().map(|key| hosts.target(key).host.as_str());
        let claim = format!("port {port}");
        if !hosts.context().names.take(When::Planned, &claim, names) {
            let error = Diagnostic::error(
                format!("Two resources want port {port}"),
                "Another one of this configuration is made with that port on the same hosts.\nHint: Give \
                 each resource ports of its own.",
            );
            diagnostics.push(error.at(Path::attribute(*attribute)));
        }
    }
}

/// Leaves the creations out that came to their end and that this run cannot have lost the answer of: see
/// [`session::leave_made`].
pub(crate) fn leave_made(hosts: &Hosts, facts: &mut Facts, wish: &str) {
    let context = hosts.context();
    session::leave_made(facts, &context.origin, wish, &context.in_state);
}

/// Takes the name for a creation that begins, on the machines that were seen.
///
/// # Errors
/// Another one of this run has it there.
pub(crate) fn begin(context: &Context, owner: &str, facts: &Facts) -> Result<(), Diagnostics> {
    let machines = facts.values().filter_map(Fact::known);
    let machines = machines.map(|host| host.machine_id.as_str());
    if context.names.take(When::Made, owner, machines) {
        Ok(())
    } else {
        Err(twice(owner).into())
    }
}

/// Warns of a creation of the same wish that was begun, and is gone on with.
pub(crate) fn goes_on(what: &str, name: &Name, facts: &Facts, wish: &str, problems: &mut Problems) {
    if let Some(by) = session::continued(facts, wish) {
        problems.warning(
            &["name"],
            format!("A creation of {what} {name} that was begun goes on"),
            format!(
                "{by} began it, and no state is known to have it. If it is somebody else's, choose another \
                 name: what is made here will be in this state."
            ),
        );
    }
}

/// Why nothing was begun.
pub(crate) fn not_begun(what: &str, name: impl Display, trouble: &Trouble) -> Diagnostics {
    let summary = format!("Creation of {what} {name} did not begin");
    trouble.diagnostic(summary).into()
}

/// Two resources of one name on the same hosts.
fn twice(owner: &str) -> Diagnostic {
    let (kind, name) = owner.split_once('/').unwrap_or_default();
    Diagnostic::error(
        format!("Two resources {kind} are named {name}"),
        "Another one of this configuration is made under that name on the same hosts. Both would own the \
         same things there, and destroying one would destroy the other. Nothing was changed by this \
         one.\nHint: Give each a name of its own (with for_each, name = each.key).",
    )
    .at(Path::attribute("name"))
}

/// What a creation is whose object stands in the state: the uid of that object, or why it may not be
/// deleted.
fn replaced(
    context: &Context,
    owner: &str,
    what: &str,
    facts: &Facts,
    diagnostics: &mut Diagnostics,
) -> Result<Option<String>, Diagnostics> {
    let Some((id, state)) = context.in_state.on(owner, facts) else {
        return Ok(None);
    };
    let protected = protected(&state, what);
    if protected.has_errors() {
        return Err(protected);
    }
    let name = state.get("name").as_str().unwrap_or_default();
    diagnostics.warning(
        format!("The {what} {name} is on its hosts and would be made anew"),
        format!(
            "In a replacement it is deleted before, and its data with it or moved aside, as delete_data \
             says. If a second resource of the same name is meant, the apply refuses it: give it \
             another name than {name}."
        ),
    );
    Ok(Some(id))
}
