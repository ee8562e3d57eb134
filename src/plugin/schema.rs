//! Schemas: what a block may hold. One definition serves the wire, the docs and the state.

use std::collections::BTreeMap;

use crate::{
    path::Path,
    tfplugin5::{self, StringKind},
    types::{Object, Type},
    value::Value,
};

/// Schema of a provider, resource or data source.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Version of the state; a newer one is reached through `Resource::upgrade`.
    pub version: i64,
    /// The attributes and blocks.
    pub block: Block,
}

/// Attributes and nested blocks, in the order in which docs list them.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// What the block is for, in markdown.
    pub description: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Its nested blocks.
    pub blocks: Vec<NestedBlock>,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// What it means, in markdown.
    pub description: String,
    /// Who gives its value.
    pub mode: Mode,
    /// Shown as `(sensitive value)`; lies in the state all the same.
    pub sensitive: bool,
    /// Handed in by the user, never kept in plan or state.
    pub write_only: bool,
}

/// Who gives the value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The user must.
    Required,
    /// The user may.
    Optional,
    /// The provider does.
    Computed,
    /// The user may, else the provider does.
    OptionalComputed,
}

/// A block within a block.
#[derive(Clone, Debug)]
pub struct NestedBlock {
    /// Its name.
    pub name: &'static str,
    /// How often it may stand.
    pub nesting: Nesting,
    /// What it holds.
    pub block: Block,
}

/// How often a nested block may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// At most once.
    Single,
    /// Any number of times, in order.
    List,
    /// Any number of times, each with a label of its own.
    Map,
}

impl Attribute {
    fn new(name: &'static str, ty: Type, mode: Mode, description: &str) -> Self {
        Self {
            name,
            ty,
            description: description.to_owned(),
            mode,
            sensitive: false,
            write_only: false,
        }
    }

    /// An attribute that the user must give.
    pub fn required(name: &'static str, ty: Type, description: &str) -> Self {
        Self::new(name, ty, Mode::Required, description)
    }

    /// An attribute that the user may give.
    pub fn optional(name: &'static str, ty: Type, description: &str) -> Self {
        Self::new(name, ty, Mode::Optional, description)
    }

    /// An attribute that the provider gives.
    pub fn computed(name: &'static str, ty: Type, description: &str) -> Self {
        Self::new(name, ty, Mode::Computed, description)
    }

    /// An attribute that the provider gives if the user does not.
    pub fn optional_computed(name: &'static str, ty: Type, description: &str) -> Self {
        Self::new(name, ty, Mode::OptionalComputed, description)
    }

    /// The same, hidden in what the CLI prints.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The same, never kept.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Whether the provider may give its value.
    pub fn is_computed(&self) -> bool {
        matches!(self.mode, Mode::Computed | Mode::OptionalComputed)
    }

    fn to_wire(&self) -> tfplugin5::schema::Attribute {
        tfplugin5::schema::Attribute {
            name: self.name.to_owned(),
            r#type: self.ty.to_json().to_string().into_bytes(),
            description: self.description.clone(),
            required: self.mode == Mode::Required,
            optional: matches!(self.mode, Mode::Optional | Mode::OptionalComputed),
            computed: self.is_computed(),
            sensitive: self.sensitive,
            description_kind: StringKind::Markdown.into(),
            deprecated: false,
            write_only: self.write_only,
            deprecation_message: String::new(),
        }
    }
}

impl Block {
    /// The type of the block's value: an object with every attribute and block.
    pub fn ty(&self) -> Type {
        let attributes = self
            .attributes
            .iter()
            .map(|attribute| (attribute.name.to_owned(), without_optional(&attribute.ty)));
        let blocks = self.blocks.iter().map(|nested| {
            let inner = nested.block.ty();
            let ty = match nested.nesting {
                Nesting::Single => inner,
                Nesting::List => Type::list(inner),
                Nesting::Map => Type::map(inner),
            };
            (nested.name.to_owned(), ty)
        });
        Type::Object(Object {
            members: attributes.chain(blocks).collect::<BTreeMap<_, _>>(),
            optional: Vec::new(),
        })
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// Write-only attributes that have a value.
    pub(crate) fn write_only_values(&self, value: &Value) -> Vec<Path> {
        let mut found = Vec::new();
        self.find_write_only(value, &Path::default(), &mut found);
        found
    }

    fn find_write_only(&self, value: &Value, place: &Path, found: &mut Vec<Path>) {
        for attribute in &self.attributes {
            if attribute.write_only && !value.get(attribute.name).is_null() {
                found.push(place.clone().member(attribute.name));
            }
        }
        for nested in &self.blocks {
            let place = place.clone().member(nested.name);
            let find = |value: &Value, place: Path, found: &mut Vec<Path>| {
                nested.block.find_write_only(value, &place, found);
            };
            match (value.get(nested.name), nested.nesting) {
                (inner, Nesting::Single) => find(inner, place, found),
                (Value::List(inner), Nesting::List) => {
                    for (index, inner) in (0..).zip(inner) {
                        find(inner, place.clone().index(index), found);
                    }
                }
                (Value::Map(inner), Nesting::Map) => {
                    for (label, inner) in inner {
                        find(inner, place.clone().key(label), found);
                    }
                }
                _ => {}
            }
        }
    }

    /// Makes write-only attributes null, as plans and states must have them.
    pub fn forget_write_only(&self, value: &mut Value) {
        for attribute in &self.attributes {
            if attribute.write_only {
                value.set(attribute.name, Value::Null);
            }
        }
        if let Value::Map(members) = value {
            for nested in &self.blocks {
                match (members.get_mut(nested.name), nested.nesting) {
                    (Some(inner), Nesting::Single) => nested.block.forget_write_only(inner),
                    (Some(Value::List(inner)), Nesting::List) => {
                        for inner in inner {
                            nested.block.forget_write_only(inner);
                        }
                    }
                    (Some(Value::Map(inner)), Nesting::Map) => {
                        for inner in inner.values_mut() {
                            nested.block.forget_write_only(inner);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn to_wire(&self) -> tfplugin5::schema::Block {
        tfplugin5::schema::Block {
            version: 0,
            attributes: self.attributes.iter().map(Attribute::to_wire).collect(),
            block_types: self.blocks.iter().map(NestedBlock::to_wire).collect(),
            description: self.description.clone(),
            description_kind: StringKind::Markdown.into(),
            deprecated: false,
            deprecation_message: String::new(),
        }
    }
}

impl NestedBlock {
    fn to_wire(&self) -> tfplugin5::schema::NestedBlock {
        use tfplugin5::schema::nested_block::NestingMode;
        let nesting = match self.nesting {
            Nesting::Single => NestingMode::Single,
            Nesting::List => NestingMode::List,
            Nesting::Map => NestingMode::Map,
        };
        tfplugin5::schema::NestedBlock {
            type_name: self.name.to_owned(),
            block: Some(self.block.to_wire()),
            nesting: nesting.into(),
            // A single block that may be absent has equal limits; counting others is the
            // provider's part.
            min_items: 0,
            max_items: 0,
        }
    }
}

impl Schema {
    pub(crate) fn to_wire(&self) -> tfplugin5::Schema {
        tfplugin5::Schema {
            version: self.version,
            block: Some(self.block.to_wire()),
        }
    }

    /// What Core would refuse, which breaks every command of a user (`internal_validate.go`).
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        check(&self.block, "", &mut problems);
        problems
    }
}

fn check(block: &Block, place: &str, problems: &mut Vec<String>) {
    const RESERVED: [&str; 9] = [
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
    let mut names = std::collections::BTreeSet::new();
    let all = block
        .attributes
        .iter()
        .map(|a| a.name)
        .chain(block.blocks.iter().map(|b| b.name));
    for name in all {
        if !names.insert(name) {
            problems.push(format!("{place}{name} is defined twice"));
        }
        if place.is_empty() && RESERVED.contains(&name) {
            problems.push(format!("{name} is reserved"));
        }
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(fits) {
            problems.push(format!("{place}{name} is not a name"));
        }
    }
    for attribute in &block.attributes {
        if attribute.write_only && attribute.is_computed() {
            problems.push(format!(
                "{place}{} is write-only and computed",
                attribute.name
            ));
        }
    }
    for nested in &block.blocks {
        check(&nested.block, &format!("{place}{}.", nested.name), problems);
    }
}

/// Schemas mark members as optional; values never do (`configschema/implied_type.go`).
fn without_optional(ty: &Type) -> Type {
    match ty {
        Type::List(element) => Type::list(without_optional(element)),
        Type::Set(element) => Type::Set(Box::new(without_optional(element))),
        Type::Map(element) => Type::map(without_optional(element)),
        Type::Tuple(types) => Type::Tuple(types.iter().map(without_optional).collect()),
        Type::Object(object) => Type::Object(Object {
            members: object
                .members
                .iter()
                .map(|(name, ty)| (name.clone(), without_optional(ty)))
                .collect(),
            optional: Vec::new(),
        }),
        plain => plain.clone(),
    }
}
