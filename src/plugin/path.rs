//! Where in a resource a diagnostic points.

use std::fmt;

use crate::tfplugin5::{AttributePath, attribute_path};

/// A place in a configuration, from the top of the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Attribute(String),
    Key(String),
    Index(i64),
}

impl Path {
    /// An attribute or block of the resource.
    pub fn attribute(name: impl Into<String>) -> Self {
        Self(vec![Segment::Attribute(name.into())])
    }

    /// A member of an object or block at this place.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>) -> Self {
        self.0.push(Segment::Attribute(name.into()));
        self
    }

    /// An element of a map at this place.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Segment::Key(key.into()));
        self
    }

    /// An element of a list at this place.
    #[must_use]
    pub fn index(mut self, index: i64) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    pub(crate) fn to_wire(&self) -> AttributePath {
        use attribute_path::{Step, step::Selector};
        let steps = self.0.iter().map(|segment| Step {
            selector: Some(match segment {
                Segment::Attribute(name) => Selector::AttributeName(name.clone()),
                Segment::Key(key) => Selector::ElementKeyString(key.clone()),
                Segment::Index(index) => Selector::ElementKeyInt(*index),
            }),
        });
        AttributePath {
            steps: steps.collect(),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Attribute(name) if place == 0 => formatter.write_str(name)?,
                Segment::Attribute(name) => write!(formatter, ".{name}")?,
                Segment::Key(key) => write!(formatter, "[\"{key}\"]")?,
                Segment::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}
