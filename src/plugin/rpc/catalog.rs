//! What the provider has, by name, with the types of its schemas worked out once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    provider::{DataSource, Function, Identity, Provider, Resource, Signature},
    schema::Schema,
    tfplugin5::{self as wire, StringKind},
    types::Type,
};

/// An object of the provider with its schema and the type of its values.
pub(super) struct Entry<T: ?Sized> {
    pub(super) object: Arc<T>,
    pub(super) schema: Schema,
    pub(super) ty: Type,
    /// The identity's schema and the type of its values, for a resource that has one.
    pub(super) identity: Option<(Identity, Type)>,
}

/// A function with its signature.
pub(super) struct Callable {
    pub(super) function: Arc<dyn Function>,
    pub(super) signature: Signature,
}

/// All objects of the provider by name.
pub(super) struct Catalog {
    pub(super) provider: Entry<dyn Provider>,
    pub(super) resources: BTreeMap<String, Arc<Entry<dyn Resource>>>,
    pub(super) data_sources: BTreeMap<String, Arc<Entry<dyn DataSource>>>,
    pub(super) functions: BTreeMap<String, Arc<Callable>>,
}

impl<T: ?Sized> Entry<T> {
    fn new(object: Arc<T>, schema: Schema, identity: Option<Identity>) -> Self {
        Self {
            object,
            ty: schema.block.ty(),
            schema,
            identity: identity.map(|identity| {
                let ty = identity.ty();
                (identity, ty)
            }),
        }
    }
}

impl Catalog {
    /// Asks for everything once: it is constant, and no later call needs to ask again.
    pub(super) fn new(provider: &Arc<dyn Provider>) -> Self {
        let resources = provider.resources().into_iter().map(|object| {
            let name = object.type_name().to_owned();
            let (schema, identity) = (object.schema(), object.identity());
            (name, Arc::new(Entry::new(object, schema, identity)))
        });
        let data_sources = provider.data_sources().into_iter().map(|object| {
            let name = object.type_name().to_owned();
            let schema = object.schema();
            (name, Arc::new(Entry::new(object, schema, None)))
        });
        let functions = provider.functions().into_iter().map(|function| {
            let signature = function.signature();
            let name = signature.name.to_owned();
            let callable = Callable {
                function,
                signature,
            };
            (name, Arc::new(callable))
        });
        Self {
            provider: Entry::new(Arc::clone(provider), provider.schema(), None),
            resources: resources.collect(),
            data_sources: data_sources.collect(),
            functions: functions.collect(),
        }
    }

    pub(super) fn metadata(&self) -> wire::get_metadata::Response {
        use wire::get_metadata::{DataSourceMetadata, FunctionMetadata, ResourceMetadata};
        wire::get_metadata::Response {
            server_capabilities: Some(capabilities()),
            data_sources: self
                .data_sources
                .keys()
                .map(|name| DataSourceMetadata {
                    type_name: name.clone(),
                })
                .collect(),
            resources: self
                .resources
                .keys()
                .map(|name| ResourceMetadata {
                    type_name: name.clone(),
                })
                .collect(),
            functions: self
                .functions
                .keys()
                .map(|name| FunctionMetadata { name: name.clone() })
                .collect(),
            ..Default::default()
        }
    }

    pub(super) fn schemas(&self) -> wire::get_provider_schema::Response {
        let schemas = |schema: &Schema| schema.to_wire();
        wire::get_provider_schema::Response {
            provider: Some(self.provider.schema.to_wire()),
            resource_schemas: self
                .resources
                .iter()
                .map(|(name, entry)| (name.clone(), schemas(&entry.schema)))
                .collect(),
            data_source_schemas: self
                .data_sources
                .iter()
                .map(|(name, entry)| (name.clone(), schemas(&entry.schema)))
                .collect(),
            server_capabilities: Some(capabilities()),
            functions: self.functions_on_wire(),
            ..Default::default()
        }
    }

    pub(super) fn identities(&self) -> wire::get_resource_identity_schemas::Response {
        use wire::{ResourceIdentitySchema, resource_identity_schema::IdentityAttribute};
        let identity_schemas = self.resources.iter().filter_map(|(name, entry)| {
            let (identity, _) = entry.identity.as_ref()?;
            let attributes =
                identity
                    .attributes
                    .iter()
                    .map(|(name, description)| IdentityAttribute {
                        name: (*name).to_owned(),
                        r#type: Type::String.to_json().to_string().into_bytes(),
                        required_for_import: true,
                        optional_for_import: false,
                        description: (*description).to_owned(),
                    });
            Some((
                name.clone(),
                ResourceIdentitySchema {
                    version: identity.version,
                    identity_attributes: attributes.collect(),
                },
            ))
        });
        wire::get_resource_identity_schemas::Response {
            identity_schemas: identity_schemas.collect(),
            diagnostics: Vec::new(),
        }
    }

    pub(super) fn functions_on_wire(&self) -> HashMap<String, wire::Function> {
        let on_wire = |callable: &Arc<Callable>| {
            let signature = &callable.signature;
            let parameters = signature.parameters.iter().map(|(name, ty, description)| {
                wire::function::Parameter {
                    name: (*name).to_owned(),
                    r#type: ty.to_json().to_string().into_bytes(),
                    allow_null_value: false,
                    allow_unknown_values: false,
                    description: (*description).to_owned(),
                    description_kind: StringKind::Markdown.into(),
                }
            });
            wire::Function {
                parameters: parameters.collect(),
                variadic_parameter: None,
                r#return: Some(wire::function::Return {
                    r#type: signature.result.to_json().to_string().into_bytes(),
                }),
                summary: signature.summary.to_owned(),
                description: signature.description.to_owned(),
                description_kind: StringKind::Markdown.into(),
                deprecation_message: String::new(),
            }
        };
        self.functions
            .iter()
            .map(|(name, function)| (name.clone(), on_wire(function)))
            .collect()
    }
}

fn capabilities() -> wire::ServerCapabilities {
    wire::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: true,
        generate_resource_config: false,
    }
}
