//! Small pieces that both resources share: items for hosts, outcomes, deletion.

use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use host::proto::{
    ControlUnitRequest, Directory, EnsureRequest, File, Item, Outcome, Reload, RemoveRequest,
    TimerHelper, control_unit_request::Verb, item,
};
use planner::{name::NodeKey, rendered::RenderedFile};
use tf_plugin::{Attribute, Diagnostic, Diagnostics, Path, Type, Value};

use crate::{
    executor::Ensure,
    hosts::Hosts,
    report::{Told, Trouble},
};

/// The helper's word for what was done.
pub(crate) fn ensured(outcome: Outcome) -> Ensure {
    match outcome {
        Outcome::NotNeeded => Ensure::NotNeeded,
        Outcome::Added => Ensure::Added,
        Outcome::Updated => Ensure::Updated,
    }
}

/// What several outcomes are together.
fn together(outcomes: &[i32]) -> Ensure {
    let done = |wanted: Outcome| outcomes.contains(&i32::from(wanted));
    if done(Outcome::Updated) {
        Ensure::Updated
    } else if done(Outcome::Added) {
        Ensure::Added
    } else {
        Ensure::NotNeeded
    }
}

pub(crate) fn item(item: item::Item) -> Item {
    Item { item: Some(item) }
}

/// A rendered file as the helper takes it.
pub(crate) fn file(file: RenderedFile) -> Item {
    item(item::Item::File(File {
        path: file.path,
        user: file.user.to_owned(),
        group: file.group.to_owned(),
        mode: file.mode,
        content: file.content.into_bytes(),
        shared: file.shared,
        follows: file.follows,
        unit: file.unit,
    }))
}

/// A directory of root's that several owners use.
pub(crate) fn shared_directory(path: &str) -> Item {
    item(item::Item::Directory(Directory {
        path: path.to_owned(),
        user: "root".to_owned(),
        group: "root".to_owned(),
        mode: 0o755,
        shared: true,
        data: false,
    }))
}

/// Where a person sees why a unit does not come up.
pub(crate) fn journal(unit: &str, host: &str) -> String {
    format!("look with `journalctl -u {unit}` on {host}.")
}

pub(crate) fn reload() -> Item {
    item(item::Item::Reload(Reload {}))
}

pub(crate) fn timer_helper() -> Item {
    item(item::Item::TimerHelper(TimerHelper {}))
}

/// Brings items on a host to the wished state.
pub(crate) async fn ensure(
    hosts: &Hosts,
    key: &NodeKey,
    request: EnsureRequest,
) -> Result<Ensure, Trouble> {
    let response = hosts
        .call(key, "Ensure", |mut client| async move {
            client.ensure(request).await
        })
        .await?;
    Ok(together(&response.outcomes))
}

/// Has systemd do something with a unit. `wait` is for the job to be done, not just queued.
pub(crate) async fn control(
    hosts: &Hosts,
    key: &NodeKey,
    owner: &str,
    unit: &str,
    verb: Verb,
    wait: bool,
) -> Result<Ensure, Trouble> {
    let request = ControlUnitRequest {
        owner: owner.to_owned(),
        unit: unit.to_owned(),
        verb: verb.into(),
        no_block: !wait,
        timeout_ms: 0,
    };
    let response = hosts
        .call(key, "ControlUnit", |mut client| async move {
            client.control_unit(request).await
        })
        .await?;
    Ok(ensured(response.outcome()))
}

/// Attributes about deletion that both resources have.
pub(crate) fn deletion_attributes(what: &str) -> Vec<Attribute> {
    let flag = |name, description: String| Attribute::optional(name, Type::Bool, &description);
    vec![
        flag(
            "deletion_protection",
            format!(
                "Refuse to delete the {what}, also when it would be replaced. Set it to `false`, \
                 apply, and only then destroy. Default: `true`."
            ),
        ),
        flag(
            "delete_data",
            "Delete the data together with everything else, instead of moving it aside. Default: \
             `false`."
                .to_owned(),
        ),
        flag(
            "forget_unreachable",
            "Let a deletion succeed although hosts cannot be reached; what is on them stays. \
             Default: `false`."
                .to_owned(),
        ),
    ]
}

/// The steps of a change, in words.
const CHANGE_PLAN: &str = "change_plan";

/// Computed attributes that both resources have.
pub(crate) fn account_attributes() -> Vec<Attribute> {
    let texts = || Type::list(Type::String);
    vec![
        Attribute::computed(
            "drift",
            texts(),
            "What differs on the hosts, in sentences; planned as empty, so a plan shows it and an \
             apply mends it.",
        ),
        Attribute::computed(
            CHANGE_PLAN,
            texts(),
            "The steps that an apply will take, in order; afterwards the record of the last change.",
        ),
        Attribute::computed(
            "status",
            Type::String,
            "`ready`, or what is missing. Use it in a postcondition.",
        ),
    ]
}

/// Why an object must not be deleted now.
pub(crate) fn protected(state: &Value, what: &str) -> Diagnostics {
    if state.get("deletion_protection").as_bool() == Some(false) {
        return Diagnostics::new();
    }
    let name = state.get("name").as_str().unwrap_or_default();
    Diagnostic::error(
        format!("The {what} {name} is protected from deletion"),
        "Nothing was changed.\nHint: To delete it for good, set deletion_protection = false, run \
             apply, and then destroy. If a replacement was planned, something asked for it (-replace, \
             or a tainted state): run `tofu untaint` on the resource.".to_string(),
    )
    .at(Path::attribute("deletion_protection"))
    .into()
}

/// Removes an owner from all its hosts. Answers with warnings and errors; with an error something
/// is left, and doing it again goes on from there.
pub(crate) async fn remove(
    hosts: &Hosts,
    state: &Value,
    owner: &str,
    limit: std::time::Duration,
) -> Diagnostics {
    let id = state.get("id").as_str().unwrap_or_default();
    let delete_data = state.get("delete_data").as_bool() == Some(true);
    let forget = state.get("forget_unreachable").as_bool() == Some(true);
    let removals = hosts.keys().map(|key| {
        let request = RemoveRequest {
            owner: owner.to_owned(),
            id: id.to_owned(),
            delete_data,
            now_ms: now_ms(),
        };
        let removal = hosts.call(key, "Remove", |mut client| async move {
            client.remove(request).await
        });
        async move { (key, tokio::time::timeout(limit, removal).await) }
    });
    let mut diagnostics = Diagnostics::new();
    for (key, removal) in join_all(removals).await {
        let host = &hosts.target(key).host;
        match removal {
            Ok(Ok(response)) => {
                for kept in response.kept {
                    tracing::info!(host, path = kept, "data was moved aside");
                    diagnostics.warning(
                        format!("Data is kept on {host}"),
                        format!("It was moved to {kept}. Delete it when nobody needs it."),
                    );
                }
            }
            Ok(Err(trouble)) if forget && trouble.is_unreachable() => diagnostics.warning(
                format!("Host {host} was forgotten"),
                format!(
                    "It could not be reached ({}), so everything on it stays, and runs when it comes \
                     back.",
                    trouble.line()
                ),
            ),
            Ok(Err(trouble)) => {
                let mut diagnostic = trouble.diagnostic(format!("Deleting from {host} failed"));
                if trouble.is_unreachable() {
                    diagnostic.detail.push_str(
                        "\nIf the host is gone for good, set forget_unreachable = true, apply, and \
                         destroy again.",
                    );
                }
                diagnostics.push(diagnostic);
            }
            Err(_) => diagnostics.error(
                format!("Deleting from {host} took too long"),
                format!("It was not done within {} s. Run destroy again: it goes on.", limit.as_secs()),
            ),
        }
    }
    diagnostics
}

/// Milliseconds since 1970, for names of what is moved aside.
fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Marks computed attributes as known only after apply.
pub(crate) fn unknown(planned: &mut Value, names: &[&str]) {
    for name in names {
        planned.set(name, Value::unknown());
    }
}

/// Says that nothing can be announced, because something is known only after apply. Steps that disrupt
/// would come without a word.
pub(crate) fn warn_unannounced(
    what: &str,
    may: &str,
    unknown: &[&str],
    diagnostics: &mut Diagnostics,
) {
    if diagnostics.has_errors() || unknown.is_empty() {
        return;
    }
    let verb = if unknown.len() == 1 { "is" } else { "are" };
    diagnostics.warning(
        format!("{what}: what the apply will do is not known yet"),
        format!(
            "{} {verb} known only after apply. The steps are worked out then and taken at once, and may \
             {may}.\nHint: To read them before, apply what this depends on first (-target), then plan \
             again.",
            unknown.join(", ")
        ),
    );
}

/// A text of a configuration.
pub(crate) fn text(values: &Value, name: &str) -> Option<String> {
    values.get(name).as_str().map(str::to_owned)
}

/// An integer; `None` if it is unset or unknown. One with a fraction, or too large for anything that is
/// counted here, is told at its place: taken for unset, it would silently become the default.
pub(crate) fn integer(value: &Value, place: Path, diagnostics: &mut Diagnostics) -> Option<i64> {
    let Value::Number(number) = value.plain() else {
        return None;
    };
    let whole = number.as_i64();
    if whole.is_none() {
        let why = if number.as_str().contains('.') {
            "has a fraction"
        } else {
            "is out of any range"
        };
        let detail = format!("A whole number is needed, and {number} {why}.");
        diagnostics.push(Diagnostic::error("Not a whole number", detail).at(place));
    }
    whole
}

/// A list of texts of a state.
pub(crate) fn texts(values: &Value, name: &str) -> Vec<String> {
    let elements = values.get(name).as_list().unwrap_or_default();
    elements
        .iter()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// What a step says that was the last change already: Core hides an attribute that stays as it is, and
/// nobody would see what an apply does.
const AGAIN: &str = " again";

/// Plans the steps that an apply will take, so that each plan shows them.
pub(crate) fn announce(planned: &mut Value, prior: &Value, steps: Vec<String>) {
    let is_repeated = texts(prior, CHANGE_PLAN) == steps;
    let shown = |step: String| {
        if is_repeated { step + AGAIN } else { step }
    };
    planned.set(CHANGE_PLAN, Value::strings(steps.into_iter().map(shown)));
}

/// The steps that a plan announced.
pub(crate) fn announced(planned: &Value) -> Vec<String> {
    let steps = texts(planned, CHANGE_PLAN).into_iter();
    steps
        .map(|step| step.strip_suffix(AGAIN).unwrap_or(&step).to_owned())
        .collect()
}

/// The attributes that a user gave, as JSON: what an import finds again on a host.
pub(crate) fn record(values: &Value, attributes: &[Attribute]) -> String {
    let given = attributes
        .iter()
        .filter(|attribute| !matches!(attribute.mode, tf_plugin::Mode::Computed))
        .filter(|attribute| !attribute.sensitive && !attribute.write_only)
        .map(|attribute| {
            (
                attribute.name.to_owned(),
                tf_plugin::json::to_json(values.get(attribute.name)),
            )
        });
    serde_json::Value::Object(given.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_come_again_are_shown_again_and_known_again() {
        let mut state = Value::object([("change_plan", Value::List(Vec::new()))]);
        for shown in ["start 2", "start 2 again", "start 2"] {
            let prior = state.clone();
            announce(&mut state, &prior, vec!["start 2".to_owned()]);
            assert_eq!(texts(&state, "change_plan"), [shown]);
            assert_eq!(announced(&state), ["start 2"]);
        }
    }
}
