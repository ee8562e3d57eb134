//! What Core proposes, and how it checks plans and results (`objchange/objchange.go`, `plan_valid.go`,
//! `compatible.go`), for attributes and the block nestings that protocol 5 has.

use std::collections::BTreeMap;

use tf_plugin::{
    Value,
    tfplugin5::schema::{Block, NestedBlock, nested_block::NestingMode},
};

const NULL: Value = Value::Null;

/// What Core proposes: the configuration, and prior values of computed attributes that it leaves open.
pub fn proposed(block: &Block, prior: &Value, config: &Value) -> Value {
    let attributes = block.attributes.iter().map(|attribute| {
        let name = attribute.name.as_str();
        let open = attribute.computed && config.get(name).is_null();
        let from = if open { prior } else { config };
        (attribute.name.clone(), from.get(name).clone())
    });
    let blocks = block.block_types.iter().map(|nested| {
        let name = nested.type_name.as_str();
        let value = proposed_block(nested, prior.get(name), config.get(name));
        (nested.type_name.clone(), value)
    });
    Value::object(attributes.chain(blocks))
}

fn proposed_block(nested: &NestedBlock, prior: &Value, config: &Value) -> Value {
    let Some(block) = &nested.block else {
        return config.clone();
    };
    match (nested.nesting(), config) {
        (NestingMode::Single | NestingMode::Group, Value::Map(_)) => proposed(block, prior, config),
        (_, Value::List(elements)) => {
            let prior = prior.as_list().unwrap_or_default();
            let one =
                |(index, element)| proposed(block, prior.get(index).unwrap_or(&NULL), element);
            Value::List(elements.iter().enumerate().map(one).collect())
        }
        (NestingMode::Map, Value::Map(elements)) => {
            let one = |(label, element): (&String, _)| {
                (label.clone(), proposed(block, prior.get(label), element))
            };
            Value::object(elements.iter().map(one))
        }
        _ => config.clone(),
    }
}

/// Why Core would say "Provider produced invalid plan"; empty if it would not.
pub fn valid_plan(block: &Block, prior: &Value, config: &Value, planned: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check_plan(block, "", prior, config, planned, &mut found);
    found
}

fn check_plan(
    block: &Block,
    place: &str,
    prior: &Value,
    config: &Value,
    planned: &Value,
    found: &mut Vec<String>,
) {
    for attribute in &block.attributes {
        let name = attribute.name.as_str();
        let (before, wish, after) = (prior.get(name), config.get(name), planned.get(name));
        let fits = if attribute.write_only {
            after.is_null()
        } else {
            let is_given = attribute.computed && wish.is_null();
            let is_settled = after == before && !before.is_null() && !wish.is_null();
            after == wish || is_given || is_settled
        };
        if !fits {
            found.push(format!(
                "{place}{name}: planned {after:?} for {wish:?}, before {before:?}"
            ));
        }
    }
    for nested in &block.block_types {
        let name = nested.type_name.as_str();
        let (before, wish, after) = (prior.get(name), config.get(name), planned.get(name));
        let place = format!("{place}{name}.");
        let (Some(block), false) = (&nested.block, wish.is_null() || wish.is_unknown()) else {
            if wish != after {
                found.push(format!("{place}: planned {after:?} for {wish:?}"));
            }
            continue;
        };
        match (wish, after) {
            (Value::List(wish), Value::List(after)) if wish.len() == after.len() => {
                let before = before.as_list().unwrap_or_default();
                for (index, (wish, after)) in wish.iter().zip(after).enumerate() {
                    let before = before.get(index).unwrap_or(&NULL);
                    check_plan(block, &place, before, wish, after, found);
                }
            }
            (Value::Map(wish), Value::Map(after)) if nested.nesting() == NestingMode::Map => {
                if !wish.keys().eq(after.keys()) {
                    found.push(format!("{place}: planned other labels"));
                }
                for (label, wish) in wish {
                    let after = after.get(label).unwrap_or(&NULL);
                    check_plan(block, &place, before.get(label), wish, after, found);
                }
            }
            (Value::Map(_), Value::Map(_)) => check_plan(block, &place, before, wish, after, found),
            _ => found.push(format!("{place}: planned {after:?} for {wish:?}")),
        }
    }
}

/// Why Core would say "Provider produced inconsistent result after apply"; empty if it would not.
pub fn conforms_to_plan(planned: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if !actual.is_wholly_known() {
        found.push("something is still unknown".to_owned());
    }
    check_result("", planned, actual, &mut found);
    found
}

fn check_result(place: &str, planned: &Value, actual: &Value, found: &mut Vec<String>) {
    match (planned, actual) {
        (Value::Unknown(_), _) => {}
        (Value::Dynamic(planned), Value::Dynamic(actual)) => {
            check_result(place, &planned.1, &actual.1, found);
        }
        (Value::List(planned), Value::List(actual)) if planned.len() == actual.len() => {
            for (index, (planned, actual)) in planned.iter().zip(actual).enumerate() {
                check_result(&format!("{place}[{index}]"), planned, actual, found);
            }
        }
        (Value::Map(planned), Value::Map(actual)) if same_names(planned, actual) => {
            for (name, planned) in planned {
                let actual = actual.get(name).unwrap_or(&NULL);
                check_result(&format!("{place}.{name}"), planned, actual, found);
            }
        }
        (planned, actual) if planned == actual => {}
        (planned, actual) => found.push(format!("{place}: {actual:?}, planned {planned:?}")),
    }
}

fn same_names(planned: &BTreeMap<String, Value>, actual: &BTreeMap<String, Value>) -> bool {
    planned.keys().eq(actual.keys())
}
