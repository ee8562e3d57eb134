//! Talos images: what is in them, where they should be, and the steps that bring them there.

mod schematic;

pub use schematic::{
    Bootloader, EnrollKeys, Fault, InvalidSchematic, Meta, Overlay, Schematic, SchematicId, Value,
};
