//! The provider's calls: decode, call the trait, encode.
//!
//! No call answers with a gRPC error: Core would then store an empty private state on update and
//! nothing on create. Whatever goes wrong, panics included, becomes a diagnostic beside the state
//! as it was.

mod catalog;
mod resource;

use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use futures::{FutureExt, Stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    msgpack,
    provider::Provider,
    tfplugin5::{self as wire, DynamicValue, provider_server::Provider as Service},
    types::Type,
    value::Value,
};

use catalog::Catalog;

type Answer<T> = Result<Response<T>, Status>;
type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The provider as a gRPC service.
pub(crate) struct Rpc {
    provider: Arc<dyn Provider>,
    catalog: Arc<Catalog>,
    busy: watch::Sender<usize>,
}

/// Counts a mutating call for as long as it lives.
struct Busy(watch::Sender<usize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Rpc {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        let catalog = Arc::new(Catalog::new(provider.as_ref()));
        Self {
            provider,
            catalog,
            busy: watch::Sender::new(0),
        }
    }

    /// How many calls that change something run now.
    pub(crate) fn busy(&self) -> watch::Receiver<usize> {
        self.busy.subscribe()
    }

    /// Runs a handler in a task of its own: a cancelled call must not drop it half-way.
    async fn guarded<T: Send + 'static>(
        &self,
        rpc: &'static str,
        type_name: &str,
        work: impl Future<Output = T> + Send + 'static,
        failed: impl FnOnce(Diagnostics) -> T,
    ) -> T {
        self.busy.send_modify(|count| *count += 1);
        let busy = Busy(self.busy.clone());
        let started = std::time::Instant::now();
        let span = tracing::info_span!("rpc", tf_rpc = rpc, tf_resource_type = type_name);
        let task = tokio::spawn(tracing::Instrument::instrument(
            async move {
                let _busy = busy;
                AssertUnwindSafe(work).catch_unwind().await
            },
            span.clone(),
        ));
        let result = task.await;
        let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::debug!(tf_req_duration_ms = elapsed, "call answered"));
        let panic = match result {
            Ok(Ok(answer)) => return answer,
            Ok(Err(panic)) => panic,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic,
                Err(_) => Box::new("the task was cancelled"),
            },
        };
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        failed(
            Diagnostic::error(
                format!("The provider has a defect: {rpc} of {type_name} panicked"),
                format!(
                    "{text}\n\nThe state is kept as it was. What was done on the hosts until then \
                     stays; the next apply looks at them and goes on.\nHint: run again with \
                     TF_LOG=debug and report what it prints."
                ),
            )
            .into(),
        )
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

fn encode(value: &Value, ty: &Type) -> DynamicValue {
    DynamicValue {
        msgpack: msgpack::encode(value, ty),
        json: Vec::new(),
    }
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
        let (provider, ty) = (Arc::clone(&self.provider), self.catalog.provider.block.ty());
        let diagnostics = match decode(config.as_ref(), &ty) {
            Err(diagnostics) => diagnostics,
            Ok(config) => {
                let work = async move { provider.validate(&config).await };
                self.guarded("PrepareProviderConfig", "provider", work, |failed| failed)
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
        let (provider, ty) = (Arc::clone(&self.provider), self.catalog.provider.block.ty());
        let diagnostics = match decode(request.config.as_ref(), &ty) {
            Err(diagnostics) => diagnostics,
            Ok(config) => {
                let work = async move { provider.configure(config).await };
                self.guarded("Configure", "provider", work, |failed| failed)
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
        resource::validate(self, request.into_inner()).await
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<wire::upgrade_resource_state::Request>,
    ) -> Answer<wire::upgrade_resource_state::Response> {
        resource::upgrade(self, request.into_inner()).await
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
        resource::read(self, request.into_inner()).await
    }

    async fn plan_resource_change(
        &self,
        request: Request<wire::plan_resource_change::Request>,
    ) -> Answer<wire::plan_resource_change::Response> {
        resource::plan(self, request.into_inner()).await
    }

    async fn apply_resource_change(
        &self,
        request: Request<wire::apply_resource_change::Request>,
    ) -> Answer<wire::apply_resource_change::Response> {
        resource::apply(self, request.into_inner()).await
    }

    async fn import_resource_state(
        &self,
        request: Request<wire::import_resource_state::Request>,
    ) -> Answer<wire::import_resource_state::Response> {
        resource::import(self, request.into_inner()).await
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
        let diagnostics = match self.catalog.data_sources.get(&request.type_name).cloned() {
            None => unknown_type(&request.type_name),
            Some(entry) => match decode(request.config.as_ref(), &entry.ty) {
                Err(diagnostics) => diagnostics,
                Ok(config) => {
                    let work = async move { entry.object.validate(&config).await };
                    self.guarded("ValidateDataSourceConfig", &request.type_name, work, |f| f)
                        .await
                }
            },
        };
        Ok(Response::new(wire::validate_data_source_config::Response {
            diagnostics: diagnostics.into_wire(),
        }))
    }

    async fn read_data_source(
        &self,
        request: Request<wire::read_data_source::Request>,
    ) -> Answer<wire::read_data_source::Response> {
        let request = request.into_inner();
        let mut state = None;
        let diagnostics = match self.catalog.data_sources.get(&request.type_name).cloned() {
            None => unknown_type(&request.type_name),
            Some(entry) => match decode(request.config.as_ref(), &entry.ty) {
                Err(diagnostics) => diagnostics,
                Ok(config) => {
                    let ty = entry.ty.clone();
                    let work = async move { entry.object.read(config).await };
                    let (value, diagnostics) = self
                        .guarded("ReadDataSource", &request.type_name, work, |failed| {
                            (Value::Null, failed)
                        })
                        .await;
                    state = Some(encode(&value, &ty));
                    diagnostics
                }
            },
        };
        Ok(Response::new(wire::read_data_source::Response {
            state,
            diagnostics: diagnostics.into_wire(),
            deferred: None,
        }))
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
        let failed = |text: String, argument: Option<i64>| wire::call_function::Response {
            result: None,
            error: Some(wire::FunctionError {
                text,
                function_argument: argument,
            }),
        };
        let Some(function) = self.catalog.functions.get(&request.name).cloned() else {
            return Ok(Response::new(failed(
                format!("there is no function {}", request.name),
                None,
            )));
        };
        let signature = function.signature();
        let mut arguments = Vec::new();
        for (index, (argument, parameter)) in request
            .arguments
            .iter()
            .zip(&signature.parameters)
            .enumerate()
        {
            let Ok(value) = decode(Some(argument), &parameter.1) else {
                let text = format!("{} is not a {}", parameter.0, parameter.1);
                return Ok(Response::new(failed(text, i64::try_from(index).ok())));
            };
            arguments.push(value);
        }
        let work = async move { function.call(arguments).await };
        let result = self
            .guarded("CallFunction", &request.name, work, |_| {
                Err((
                    "the provider has a defect: the function panicked".to_owned(),
                    None,
                ))
            })
            .await;
        Ok(Response::new(match result {
            Ok(value) => wire::call_function::Response {
                result: Some(encode(&value, &signature.result)),
                error: None,
            },
            Err((text, argument)) => failed(text, argument),
        }))
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
        self.provider.stop();
        Ok(Response::new(wire::stop::Response {
            error: String::new(),
        }))
    }
}

fn unsupported(name: &str) -> Diagnostics {
    Diagnostic::error(
        "Configuration cannot be generated",
        format!("{name} leaves that to the caller."),
    )
    .into()
}
