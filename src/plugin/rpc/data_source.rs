//! The calls that are about one data source.

use std::sync::Arc;

use super::{Rpc, catalog::Entry, decode, encode, unknown_type};
use crate::{
    diagnostic::Diagnostics,
    provider::DataSource,
    tfplugin5::{self as wire, DynamicValue},
    value::Value,
};

fn prepare(
    rpc: &Rpc,
    name: &str,
    config: Option<&DynamicValue>,
) -> Result<(Value, Arc<Entry<dyn DataSource>>), Diagnostics> {
    let found = rpc.catalog.data_sources.get(name).cloned();
    let entry = found.ok_or_else(|| unknown_type(name))?;
    Ok((decode(config, &entry.ty)?, entry))
}

pub(super) async fn validate(
    rpc: &Rpc,
    request: wire::validate_data_source_config::Request,
) -> wire::validate_data_source_config::Response {
    let name = &request.type_name;
    let diagnostics = match prepare(rpc, name, request.config.as_ref()) {
        Err(diagnostics) => diagnostics,
        Ok((config, entry)) => {
            let work = async move { entry.object.validate(&config).await };
            let run = rpc
                .work
                .run("ValidateDataSourceConfig", name, work, |failed| failed);
            run.await
        }
    };
    wire::validate_data_source_config::Response {
        diagnostics: diagnostics.into_wire(),
    }
}

pub(super) async fn read(
    rpc: &Rpc,
    request: wire::read_data_source::Request,
) -> wire::read_data_source::Response {
    let name = &request.type_name;
    let (state, diagnostics) = match prepare(rpc, name, request.config.as_ref()) {
        Err(diagnostics) => (None, diagnostics),
        Ok((config, entry)) => {
            let object = Arc::clone(&entry.object);
            let work = async move { object.read(config).await };
            let failed = |failed| (Value::Null, failed);
            let (state, mut diagnostics) = rpc.work.run("ReadDataSource", name, work, failed).await;
            let (state, defect) = encode(state, &entry.ty);
            diagnostics.extend(defect);
            (Some(state), diagnostics)
        }
    };
    wire::read_data_source::Response {
        state,
        diagnostics: diagnostics.into_wire(),
        deferred: None,
    }
}
