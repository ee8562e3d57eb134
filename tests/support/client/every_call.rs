//! Every call that names a type, asked with what is no value.

use tf_plugin::tfplugin5::{self as wire, DynamicValue};
use tokio_stream::StreamExt;

use super::{Failure, Plugin, errors};

/// Calls and the errors that each was answered with. Fails on an answer that is a gRPC status.
pub async fn every_call(
    plugin: &Plugin,
    name: &str,
) -> Result<Vec<(&'static str, Vec<String>)>, Failure> {
    let mut calls = plugin.calls()?;
    let type_name = name.to_owned();
    let config = Some(DynamicValue {
        msgpack: vec![0xc1, 0xff],
        json: Vec::new(),
    });
    let mut said = Vec::new();
    macro_rules! ask {
        ($call:ident { $($field:ident $(: $value:expr)?),* $(; $rest:expr)? }) => {{
            // Some requests have more fields than these, some have not.
            let request = wire::$call::Request {
                $($field: ask!(@ $field $($value)?).clone(),)*
                $(..$rest)?
            };
            let answer = calls.$call(request).await?.into_inner();
            said.push((stringify!($call), errors(&answer.diagnostics)));
        }};
        (@ $field:ident $value:expr) => { $value };
        (@ $field:ident) => { $field };
    }
    ask!(validate_resource_type_config { type_name, config; Default::default() });
    ask!(upgrade_resource_state { type_name; Default::default() });
    ask!(upgrade_resource_identity { type_name; Default::default() });
    ask!(read_resource { type_name, current_state: config; Default::default() });
    ask!(plan_resource_change { type_name, config; Default::default() });
    ask!(apply_resource_change { type_name, config; Default::default() });
    ask!(move_resource_state { target_type_name: type_name; Default::default() });
    ask!(validate_data_source_config { type_name, config });
    ask!(read_data_source { type_name, config; Default::default() });
    ask!(generate_resource_config {
        type_name,
        state: config
    });
    ask!(validate_ephemeral_resource_config { type_name, config });
    ask!(open_ephemeral_resource { type_name, config; Default::default() });
    ask!(renew_ephemeral_resource { type_name; Default::default() });
    ask!(close_ephemeral_resource { type_name; Default::default() });
    ask!(validate_list_resource_config { type_name, config; Default::default() });
    ask!(validate_action_config { type_name, config });
    ask!(plan_action { action_type: type_name, config; Default::default() });

    let request = wire::list_resource::Request {
        type_name: type_name.clone(),
        ..Default::default()
    };
    let events: Vec<_> = calls
        .list_resource(request)
        .await?
        .into_inner()
        .collect()
        .await;
    let diagnostics = events.into_iter().map(|event| Ok(event?.diagnostic));
    let diagnostics = diagnostics
        .collect::<Result<Vec<_>, tonic::Status>>()?
        .concat();
    said.push(("list_resource", errors(&diagnostics)));

    let request = wire::invoke_action::Request {
        action_type: type_name,
        ..Default::default()
    };
    let events: Vec<_> = calls
        .invoke_action(request)
        .await?
        .into_inner()
        .collect()
        .await;
    for event in events {
        if let Some(wire::invoke_action::event::Type::Completed(end)) = event?.r#type {
            said.push(("invoke_action", errors(&end.diagnostics)));
        }
    }
    Ok(said)
}
