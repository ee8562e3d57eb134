//! The provider's calls: decode, call the trait, encode.
//!
//! No call answers with a gRPC error: Core would then store an empty private state on update and
//! nothing on create. Whatever goes wrong, panics included, becomes a diagnostic beside the state
//! as it was.

mod catalog;
mod data_source;
mod function;
mod resource;
mod work;

use std::{pin::Pin, sync::Arc};

use futures::Stream;
use tonic::{Request, Response, Status};

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    fit::fit,
    msgpack,
    provider::Provider,
    tfplugin5::{self as wire, DynamicValue, provider_server::Provider as Service},
    types::Type,
    value::Value,
};

use catalog::{Catalog, Entry};
pub(crate) use work::Work;

type Answer<T> = Result<Response<T>, Status>;
type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The provider as a gRPC service.
pub(crate) struct Rpc {
    catalog: Arc<Catalog>,
    work: Work,
}

impl Rpc {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        Self {
            catalog: Arc::new(Catalog::new(&provider)),
            work: Work::new(provider),
        }
    }

    /// What runs.
    pub(crate) fn work(&self) -> Work {
        self.work.clone()
    }
}

/// Reads a value off the wire; what Core sends always fits unless one of us has a defect.
fn decode(value: Option<&DynamicValue>, ty: &Type) -> Result<Value, Diagnostics> {
    let Some(value) = value else {
        return Ok(Value::Null);
    };
    let decoded = if value.msgpack.is_empty() && !value.json.is_empty() {
        crate::json::from_slice(&value.json, ty)
    } else {
        msgpack::decode(&value.msgpack, ty).map_err(|error| error.to_string())
    };
    decoded.map_err(|error| {
        Diagnostic::error(
            "A value from Terraform does not fit the schema",
            format!("{error}. The provider's schema and the caller's differ; run init again."),
        )
        .into()
    })
}

/// Writes a value, and says where the provider gave something that its schema does not.
fn encode(mut value: Value, ty: &Type) -> (DynamicValue, Diagnostics) {
    let misfits = fit(&mut value, ty);
    let mut diagnostics = Diagnostics::new();
    if !misfits.is_empty() {
        diagnostics.error(
            "The provider has a defect: a value does not fit its own schema",
            format!("What it gives for {} is left out.", misfits.join(", ")),
        );
    }
    let value = DynamicValue {
        msgpack: msgpack::encode_state(&value, ty),
        json: Vec::new(),
    };
    (value, diagnostics)
}

fn unknown_type(name: &str) -> Diagnostics {
    Diagnostic::error("Unknown type", format!("This provider has no {name}.")).into()
}

#[tonic::async_trait]
impl Service for Rpc {
    async fn get_metadata(
        &self,
        _request: Request<wire::get_metadata::Request>,
    ) -> Answer<wire::get_metadata::Response> {
        Ok(Response::new(self.catalog.metadata()))
    }

    async fn get_schema(
        &self,
        _request: Request<wire::get_provider_schema::Request>,
    ) -> Answer<wire::get_provider_schema::Response> {
        Ok(Response::new(self.catalog.schemas()))
    }

    async fn get_resource_identity_schemas(
        &self,
        _request: Request<wire::get_resource_identity_schemas::Request>,
    ) -> Answer<wire::get_resource_identity_schemas::Response> {
        Ok(Response::new(self.catalog.identities()))
    }

    async fn prepare_provider_config(
        &self,
        request: Request<wire::prepare_provider_config::Request>,
    ) -> Answer<wire::prepare_provider_config::Response> {
        let config = request.into_inner().config;
        let Entry { object, ty, .. } = &self.catalog.provider;
        let provider = Arc::clone(object);
        let diagnostics = match decode(config.as_ref(), ty) {
            Err(diagnostics) => diagnostics,
            Ok(config) => {
                let work = async move { provider.validate(&config).await };
                self.work
                    .run("PrepareProviderConfig", "provider", work, |failed| failed)
                    .await
            }
        };
        Ok(Response::new(wire::prepare_provider_config::Response {
            prepared_config: config,
            diagnostics: diagnostics.into_wire(),
        }))
    }

    async fn configure(
        &self,
        request: Request<wire::configure::Request>,
    ) -> Answer<wire::configure::Response> {
        let request = request.into_inner();
        let Entry { object, ty, .. } = &self.catalog.provider;
        let provider = Arc::clone(object);
        let diagnostics = match decode(request.config.as_ref(), ty) {
            Err(diagnostics) => diagnostics,
            Ok(config) => {
                let work = async move { provider.configure(config).await };
                self.work
                    .run("Configure", "provider", work, |failed| failed)
                    .await
            }
        };
        Ok(Response::new(wire::configure::Response {
            diagnostics: diagnostics.into_wire(),
        }))
    }

    async fn validate_resource_type_config(
        &self,
        request: Request<wire::validate_resource_type_config::Request>,
    ) -> Answer<wire::validate_resource_type_config::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::validate(self, request).await))
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<wire::upgrade_resource_state::Request>,
    ) -> Answer<wire::upgrade_resource_state::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::upgrade(self, request).await))
    }

    async fn upgrade_resource_identity(
        &self,
        request: Request<wire::upgrade_resource_identity::Request>,
    ) -> Answer<wire::upgrade_resource_identity::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::upgrade_identity(self, &request)))
    }

    async fn read_resource(
        &self,
        request: Request<wire::read_resource::Request>,
    ) -> Answer<wire::read_resource::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::read(self, request).await))
    }

    async fn plan_resource_change(
        &self,
        request: Request<wire::plan_resource_change::Request>,
    ) -> Answer<wire::plan_resource_change::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::plan(self, request).await))
    }

    async fn apply_resource_change(
        &self,
        request: Request<wire::apply_resource_change::Request>,
    ) -> Answer<wire::apply_resource_change::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::apply(self, request).await))
    }

    async fn import_resource_state(
        &self,
        request: Request<wire::import_resource_state::Request>,
    ) -> Answer<wire::import_resource_state::Response> {
        let request = request.into_inner();
        Ok(Response::new(resource::import(self, request).await))
    }

    async fn move_resource_state(
        &self,
        request: Request<wire::move_resource_state::Request>,
    ) -> Answer<wire::move_resource_state::Response> {
        let request = request.into_inner();
        let diagnostics: Diagnostics = Diagnostic::error(
            "The state cannot be moved",
            format!(
                "{} takes no state from {}.",
                request.target_type_name, request.source_type_name
            ),
        )
        .into();
        Ok(Response::new(wire::move_resource_state::Response {
            diagnostics: diagnostics.into_wire(),
            ..Default::default()
        }))
    }

    async fn validate_data_source_config(
        &self,
        request: Request<wire::validate_data_source_config::Request>,
    ) -> Answer<wire::validate_data_source_config::Response> {
        let request = request.into_inner();
        Ok(Response::new(data_source::validate(self, request).await))
    }

    async fn read_data_source(
        &self,
        request: Request<wire::read_data_source::Request>,
    ) -> Answer<wire::read_data_source::Response> {
        let request = request.into_inner();
        Ok(Response::new(data_source::read(self, request).await))
    }

    async fn generate_resource_config(
        &self,
        request: Request<wire::generate_resource_config::Request>,
    ) -> Answer<wire::generate_resource_config::Response> {
        Ok(Response::new(wire::generate_resource_config::Response {
            config: None,
            diagnostics: unsupported(&request.into_inner().type_name).into_wire(),
        }))
    }

    async fn validate_ephemeral_resource_config(
        &self,
        request: Request<wire::validate_ephemeral_resource_config::Request>,
    ) -> Answer<wire::validate_ephemeral_resource_config::Response> {
        Ok(Response::new(
            wire::validate_ephemeral_resource_config::Response {
                diagnostics: unknown_type(&request.into_inner().type_name).into_wire(),
            },
        ))
    }

    async fn open_ephemeral_resource(
        &self,
        request: Request<wire::open_ephemeral_resource::Request>,
    ) -> Answer<wire::open_ephemeral_resource::Response> {
        Ok(Response::new(wire::open_ephemeral_resource::Response {
            diagnostics: unknown_type(&request.into_inner().type_name).into_wire(),
            ..Default::default()
        }))
    }

    async fn renew_ephemeral_resource(
        &self,
        request: Request<wire::renew_ephemeral_resource::Request>,
    ) -> Answer<wire::renew_ephemeral_resource::Response> {
        Ok(Response::new(wire::renew_ephemeral_resource::Response {
            diagnostics: unknown_type(&request.into_inner().type_name).into_wire(),
            ..Default::default()
        }))
    }

    async fn close_ephemeral_resource(
        &self,
        request: Request<wire::close_ephemeral_resource::Request>,
    ) -> Answer<wire::close_ephemeral_resource::Response> {
        Ok(Response::new(wire::close_ephemeral_resource::Response {
            diagnostics: unknown_type(&request.into_inner().type_name).into_wire(),
        }))
    }

    type ListResourceStream = Events<wire::list_resource::Event>;

    async fn list_resource(
        &self,
        request: Request<wire::list_resource::Request>,
    ) -> Answer<Self::ListResourceStream> {
        let event = wire::list_resource::Event {
            diagnostic: unknown_type(&request.into_inner().type_name).into_wire(),
            ..Default::default()
        };
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(event)]))))
    }

    async fn validate_list_resource_config(
        &self,
        request: Request<wire::validate_list_resource_config::Request>,
    ) -> Answer<wire::validate_list_resource_config::Response> {
        Ok(Response::new(
            wire::validate_list_resource_config::Response {
                diagnostics: unknown_type(&request.into_inner().type_name).into_wire(),
            },
        ))
    }

    async fn get_functions(
        &self,
        _request: Request<wire::get_functions::Request>,
    ) -> Answer<wire::get_functions::Response> {
        Ok(Response::new(wire::get_functions::Response {
            functions: self.catalog.functions_on_wire(),
            diagnostics: Vec::new(),
        }))
    }

    async fn call_function(
        &self,
        request: Request<wire::call_function::Request>,
    ) -> Answer<wire::call_function::Response> {
        let request = request.into_inner();
        Ok(Response::new(function::call(self, request).await))
    }

    async fn validate_action_config(
        &self,
        request: Request<wire::validate_action_config::Request>,
    ) -> Answer<wire::validate_action_config::Response> {
        Ok(Response::new(wire::validate_action_config::Response {
            diagnostics: unknown_type(&request.into_inner().type_name).into_wire(),
        }))
    }

    async fn plan_action(
        &self,
        request: Request<wire::plan_action::Request>,
    ) -> Answer<wire::plan_action::Response> {
        Ok(Response::new(wire::plan_action::Response {
            diagnostics: unknown_type(&request.into_inner().action_type).into_wire(),
            deferred: None,
        }))
    }

    type InvokeActionStream = Events<wire::invoke_action::Event>;

    async fn invoke_action(
        &self,
        request: Request<wire::invoke_action::Request>,
    ) -> Answer<Self::InvokeActionStream> {
        use wire::invoke_action::{
            Event,
            event::{Completed, Type},
        };
        let event = Event {
            r#type: Some(Type::Completed(Completed {
                diagnostics: unknown_type(&request.into_inner().action_type).into_wire(),
            })),
        };
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(event)]))))
    }

    async fn stop(&self, _request: Request<wire::stop::Request>) -> Answer<wire::stop::Response> {
        let error = self.work.stop().err().unwrap_or_default();
        Ok(Response::new(wire::stop::Response { error }))
    }
}

fn unsupported(name: &str) -> Diagnostics {
    Diagnostic::error(
        "Configuration cannot be generated",
        format!("{name} leaves that to the caller."),
    )
    .into()
}
