//! Values as Terraform has them: known, null, or not known yet.

use std::collections::BTreeMap;

use crate::{number::Number, types::Type};

/// A value of some [`Type`], which the schema or the dynamic value itself tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A value that is known only after apply.
    Unknown(Box<Refinement>),
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text in NFC.
    String(String),
    /// Elements of a list, set or tuple.
    List(Vec<Self>),
    /// Elements of a map, object or block.
    Map(BTreeMap<String, Self>),
    /// A known value in a place of dynamic type, with the type that came with it.
    Dynamic(Box<(Type, Self)>),
}

/// What is promised about an unknown value. Sending one binds whoever sends it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refinement {
    /// `Some(false)`: it will not be null.
    pub null: Option<bool>,
    /// What the text will begin with.
    pub prefix: Option<String>,
    /// Smallest number, and whether it counts itself.
    pub number_min: Option<(Number, bool)>,
    /// Largest number, and whether it counts itself.
    pub number_max: Option<(Number, bool)>,
    /// Fewest elements.
    pub length_min: Option<i64>,
    /// Most elements.
    pub length_max: Option<i64>,
}

impl Value {
    /// Unknown, with nothing promised.
    pub fn unknown() -> Self {
        Self::Unknown(Box::default())
    }

    /// Text.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// Text, or null.
    pub fn optional_string(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, Self::string)
    }

    /// An integer.
    pub fn integer(number: impl Into<i64>) -> Self {
        Self::Number(Number::from(number.into()))
    }

    /// A list of texts.
    pub fn strings<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::string).collect())
    }

    /// An object or map.
    pub fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(
            members
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// The value itself, without the type that a dynamic one carries.
    pub fn plain(&self) -> &Self {
        match self {
            Self::Dynamic(inner) => inner.1.plain(),
            value => value,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Self::Null)
    }

    /// Whether it is unknown as a whole.
    pub fn is_unknown(&self) -> bool {
        matches!(self.plain(), Self::Unknown(_))
    }

    /// Whether it and everything in it is known.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::List(elements) => elements.iter().all(Self::is_wholly_known),
            Self::Map(members) => members.values().all(Self::is_wholly_known),
            Self::Dynamic(inner) => inner.1.is_wholly_known(),
            _ => true,
        }
    }

    /// A member of an object, map or block; null if there is none.
    pub fn get(&self, name: &str) -> &Self {
        const NULL: Value = Value::Null;
        match self.plain() {
            Self::Map(members) => members.get(name).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Sets a member of an object, map or block; does nothing to other values.
    pub fn set(&mut self, name: &str, value: Self) {
        if let Self::Map(members) = self {
            members.insert(name.to_owned(), value);
        }
    }

    /// Text, if it is known text.
    pub fn as_str(&self) -> Option<&str> {
        match self.plain() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// True or false, if it is known.
    pub fn as_bool(&self) -> Option<bool> {
        match self.plain() {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer, if it is a known one.
    pub fn as_i64(&self) -> Option<i64> {
        match self.plain() {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Elements, if it is a known list, set or tuple.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self.plain() {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Members, if it is a known map, object or block.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        match self.plain() {
            Self::Map(members) => Some(members),
            _ => None,
        }
    }
}
