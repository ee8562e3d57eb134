//! What Core makes of a schema, and what it refuses (`configschema/internal_validate.go`).

use std::collections::BTreeMap;

use tf_plugin::{
    Object, Type,
    tfplugin5::{
        self as wire,
        schema::{Block, nested_block::NestingMode},
    },
};

use super::Failure;

/// The type of a block's value: every attribute and block, no member optional.
pub fn block_type(block: &Block) -> Result<Type, Failure> {
    let mut members = BTreeMap::new();
    for attribute in &block.attributes {
        let ty = Type::from_json(&serde_json::from_slice(&attribute.r#type)?)?;
        members.insert(attribute.name.clone(), without_optional(ty));
    }
    for nested in &block.block_types {
        let inner = block_type(nested.block.as_ref().ok_or("a nested block has a block")?)?;
        let ty = match nested.nesting() {
            NestingMode::Single | NestingMode::Group => inner,
            NestingMode::List => Type::list(inner),
            NestingMode::Set => Type::Set(Box::new(inner)),
            NestingMode::Map => Type::map(inner),
            NestingMode::Invalid => return Err("a nested block has a nesting".into()),
        };
        members.insert(nested.type_name.clone(), ty);
    }
    Ok(Type::Object(Object {
        members,
        optional: Vec::new(),
    }))
}

/// The type of an identity.
pub fn identity_type(schema: &wire::ResourceIdentitySchema) -> Result<Type, Failure> {
    let mut members = BTreeMap::new();
    for attribute in &schema.identity_attributes {
        let ty = Type::from_json(&serde_json::from_slice(&attribute.r#type)?)?;
        members.insert(attribute.name.clone(), ty);
    }
    Ok(Type::Object(Object {
        members,
        optional: Vec::new(),
    }))
}

fn without_optional(ty: Type) -> Type {
    let inner = |ty: Box<Type>| Box::new(without_optional(*ty));
    match ty {
        Type::List(element) => Type::List(inner(element)),
        Type::Set(element) => Type::Set(inner(element)),
        Type::Map(element) => Type::Map(inner(element)),
        Type::Tuple(types) => Type::Tuple(types.into_iter().map(without_optional).collect()),
        Type::Object(object) => Type::Object(Object {
            members: object
                .members
                .into_iter()
                .map(|(name, ty)| (name, without_optional(ty)))
                .collect(),
            optional: Vec::new(),
        }),
        plain => plain,
    }
}

/// What Core would refuse in a provider's schemas; any of it breaks every command of a user.
pub fn problems(schemas: &wire::get_provider_schema::Response) -> Vec<String> {
    const OF_PROVIDERS: [&str; 9] = [
        "alias",
        "version",
        "source",
        "count",
        "depends_on",
        "for_each",
        "lifecycle",
        "locals",
        "_",
    ];
    const OF_RESOURCES: [&str; 9] = [
        "count",
        "for_each",
        "provider",
        "depends_on",
        "connection",
        "provisioner",
        "lifecycle",
        "locals",
        "_",
    ];
    let mut found = Vec::new();
    let mut one = |name: &str, schema: Option<&wire::Schema>, reserved: &[&str]| {
        let Some(block) = schema.and_then(|schema| schema.block.as_ref()) else {
            found.push(format!("{name} has no schema"));
            return;
        };
        for member in names(block) {
            if reserved.contains(&member) {
                found.push(format!("{name}.{member} is reserved"));
            }
        }
        check(block, name, false, &mut found);
    };
    one("provider", schemas.provider.as_ref(), &OF_PROVIDERS);
    for (name, schema) in schemas
        .resource_schemas
        .iter()
        .chain(&schemas.data_source_schemas)
    {
        one(name, Some(schema), &OF_RESOURCES);
    }
    found
}

fn names(block: &Block) -> impl Iterator<Item = &str> {
    let attributes = block
        .attributes
        .iter()
        .map(|attribute| attribute.name.as_str());
    attributes.chain(
        block
            .block_types
            .iter()
            .map(|nested| nested.type_name.as_str()),
    )
}

fn check(block: &Block, place: &str, in_collection: bool, found: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    for name in names(block) {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(fits) || !seen.insert(name) {
            found.push(format!("{place}.{name} is no name or stands twice"));
        }
    }
    for attribute in &block.attributes {
        let place = format!("{place}.{}", attribute.name);
        let (required, optional) = (attribute.required, attribute.optional);
        if required == (optional || attribute.computed) {
            found.push(format!(
                "{place} is not either required or optional or computed"
            ));
        }
        if attribute.write_only && attribute.computed {
            found.push(format!("{place} is write-only and computed"));
        }
        if attribute.description.is_empty() {
            found.push(format!("{place} is not described"));
        }
        let ty = serde_json::from_slice(&attribute.r#type).ok();
        match ty.and_then(|json| Type::from_json(&json).ok()) {
            None => found.push(format!("{place} has no type")),
            Some(ty) if in_collection && holds_dynamic(&ty) => {
                found.push(format!("{place} is dynamic in a block that repeats"));
            }
            Some(ty) if holds_set_of_dynamic(&ty) => {
                found.push(format!("{place} is a set of dynamic values"));
            }
            Some(_) => {}
        }
    }
    for nested in &block.block_types {
        let place = format!("{place}.{}", nested.type_name);
        let (min, max) = (nested.min_items, nested.max_items);
        let counts = match nested.nesting() {
            NestingMode::Single => min == max && (0..=1).contains(&min),
            NestingMode::Group | NestingMode::Map => (min, max) == (0, 0),
            NestingMode::List | NestingMode::Set => min >= 0 && (max == 0 || min <= max),
            NestingMode::Invalid => false,
        };
        if !counts {
            found.push(format!("{place} has a nesting or counts that are refused"));
        }
        let repeats = !matches!(nested.nesting(), NestingMode::Single | NestingMode::Group);
        match &nested.block {
            Some(block) => check(block, &place, in_collection || repeats, found),
            None => found.push(format!("{place} has no block")),
        }
    }
}

fn holds_dynamic(ty: &Type) -> bool {
    match ty {
        Type::Dynamic => true,
        Type::List(element) | Type::Set(element) | Type::Map(element) => holds_dynamic(element),
        Type::Tuple(types) => types.iter().any(holds_dynamic),
        Type::Object(object) => object.members.values().any(holds_dynamic),
        _ => false,
    }
}

fn holds_set_of_dynamic(ty: &Type) -> bool {
    match ty {
        Type::Set(element) => holds_dynamic(element),
        Type::List(element) | Type::Map(element) => holds_set_of_dynamic(element),
        Type::Tuple(types) => types.iter().any(holds_set_of_dynamic),
        Type::Object(object) => object.members.values().any(holds_set_of_dynamic),
        _ => false,
    }
}
