//! The `timeouts` block of every resource.

use std::time::Duration;

use planner::duration::milliseconds;
use tf_plugin::{
    Attribute, Block, Diagnostic, Diagnostics, NestedBlock, Nesting, Path, Type, Value,
};

/// Operations with their default limits in minutes.
const DEFAULTS: [(&str, u64); 4] = [("create", 15), ("read", 1), ("update", 30), ("delete", 10)];

/// The block.
pub(crate) fn block() -> NestedBlock {
    let attributes = DEFAULTS.map(|(name, minutes)| {
        let description =
            format!("Limit of {name}, such as `\"90s\"` or `\"20m\"`. Default: `\"{minutes}m\"`.");
        Attribute::optional(name, Type::String, &description)
    });
    NestedBlock {
        name: "timeouts",
        nesting: Nesting::Single,
        block: Block {
            description: "How long operations may take.".to_owned(),
            attributes: attributes.to_vec(),
            blocks: Vec::new(),
        },
    }
}

/// Reports limits that are no durations.
pub(crate) fn validate(config: &Value, diagnostics: &mut Diagnostics) {
    for (name, minutes) in DEFAULTS {
        let Some(text) = config.get("timeouts").get(name).as_str() else {
            continue;
        };
        if milliseconds(text).is_none_or(|limit| limit == 0) {
            let detail = format!("\"{text}\" is not a duration such as \"{minutes}m\" or \"90s\".");
            diagnostics.push(
                Diagnostic::error("Invalid timeout", detail)
                    .at(Path::attribute("timeouts").member(name)),
            );
        }
    }
}

/// The limit of an operation: `create`, `read`, `update` or `delete`.
pub(crate) fn limit(values: &Value, operation: &str) -> Duration {
    let default = DEFAULTS
        .iter()
        .find(|(name, _)| *name == operation)
        .map_or(1, |(_, minutes)| *minutes);
    values
        .get("timeouts")
        .get(operation)
        .as_str()
        .and_then(milliseconds)
        .filter(|limit| *limit > 0)
        .map_or_else(|| Duration::from_secs(default * 60), Duration::from_millis)
}
