//! Schematics: what is in an image, as an Image Factory understands it, and the id that it gets there.
//!
//! The id is the SHA-256 of canonical bytes, so it is known without asking. Sources: image-factory
//! v1.0.3 `pkg/schematic`, and the reference of v1.5 for the keys that came later. Reading is as
//! strict as there and stricter where the factory would drop something in silence.

mod node;
mod plain;
mod read;
mod write;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rendered::sha256;
use write::Tree;

/// What is in an image besides Talos itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schematic {
    /// Who may use it; only factories with accounts know it.
    pub owner: String,
    /// For boards that need one.
    pub overlay: Overlay,
    /// A machine configuration inside of the image.
    pub embedded_machine_configuration: String,
    /// Arguments for the kernel, in order.
    pub kernel_args: Vec<String>,
    /// Initial contents of the META partition, in order.
    pub meta: Vec<Meta>,
    /// Names of official system extensions; the order is part of the id.
    pub extensions: Vec<String>,
    /// Boot loader of disk images.
    pub bootloader: Bootloader,
    /// When firmware takes the keys of secure boot; `None` if safe.
    pub enroll_keys: Option<EnrollKeys>,
    /// Whether the well-known certificates of UEFI are enrolled too.
    pub well_known_certificates: bool,
    /// Bytes of a sector of disk images; 0 for the default.
    pub sector_size: u64,
}

/// An overlay: firmware and settings of a board.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// Image with the overlay.
    pub image: String,
    /// Name inside of the image.
    pub name: String,
    /// Options by name; written in natural order.
    pub options: Vec<(String, Value)>,
}

/// One value of META.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Tag of the value, such as 10 (network) or 12 (reserved for users).
    pub key: u8,
    /// The text.
    pub value: String,
}

/// Any value of YAML, for options.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above the signed ones.
    Uint(u64),
    /// Another number.
    Float(f64),
    /// A point in time, as RFC 3339.
    Timestamp(String),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Self>),
    /// Values by key.
    Map(Vec<(Self, Self)>),
}

/// Boot loader of disk images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bootloader {
    /// What Talos chooses.
    #[default]
    Automatic,
    /// sd-boot for UEFI, GRUB for BIOS.
    DualBoot,
    /// sd-boot.
    SdBoot,
    /// GRUB.
    Grub,
}

impl Bootloader {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Automatic, Self::DualBoot, Self::SdBoot, Self::Grub];

    /// Talos' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "none",
            Self::DualBoot => "dual-boot",
            Self::SdBoot => "sd-boot",
            Self::Grub => "grub",
        }
    }
}

/// When firmware takes the keys of secure boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnrollKeys {
    /// Never.
    #[default]
    Off,
    /// When a person says so.
    Manual,
    /// At once.
    Force,
}

impl EnrollKeys {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Manual, Self::Force];

    /// Talos' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Manual => "manual",
            Self::Force => "force",
        }
    }
}

/// Why a text is no schematic: everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidSchematic(pub Vec<Fault>);

/// One fault, with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// A lower-case fragment.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, what } = self;
        write!(formatter, "line {line}, column {column}: {what}")
    }
}

/// Id of a schematic: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchematicId(String);

impl SchematicId {
    /// Reads an id, such as a factory's answer.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, for names.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for SchematicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Schematic {
    /// Reads YAML (or JSON).
    ///
    /// # Errors
    /// [`InvalidSchematic`] with every unknown field, doubled key and wrong type, each with its place.
    pub fn parse(yaml: &str) -> Result<Self, InvalidSchematic> {
        read::read(yaml)
    }

    /// The bytes that the id is made of, as the factory writes them.
    pub fn canonical(&self) -> String {
        write::document(&self.tree())
    }

    /// The id that a factory without accounts gives it.
    pub fn id(&self) -> SchematicId {
        SchematicId(sha256(self.canonical().as_bytes()))
    }

    fn tree(&self) -> Tree {
        let mut top = Vec::new();
        if !self.owner.is_empty() {
            top.push(("owner", Tree::text(&self.owner)));
        }
        if self.overlay != Overlay::default() {
            top.push(("overlay", self.overlay.tree()));
        }
        top.push(("customization", self.customization()));
        Tree::map(top)
    }

    fn customization(&self) -> Tree {
        let texts =
            |texts: &[String]| Tree::List(texts.iter().map(|text| Tree::text(text)).collect());
        let mut fields = Vec::new();
        if !self.embedded_machine_configuration.is_empty() {
            let text = Tree::text(&self.embedded_machine_configuration);
            fields.push(("embeddedMachineConfiguration", text));
        }
        if !self.kernel_args.is_empty() {
            fields.push(("extraKernelArgs", texts(&self.kernel_args)));
        }
        if !self.meta.is_empty() {
            let entry = |meta: &Meta| {
                Tree::map([
                    ("key", Tree::Plain(meta.key.to_string())),
                    ("value", Tree::text(&meta.value)),
                ])
            };
            fields.push(("meta", Tree::List(self.meta.iter().map(entry).collect())));
        }
        if !self.extensions.is_empty() {
            let extensions = Tree::map([("officialExtensions", texts(&self.extensions))]);
            fields.push(("systemExtensions", extensions));
        }
        if self.bootloader != Bootloader::Automatic {
            fields.push(("bootloader", Tree::text(self.bootloader.as_str())));
        }
        let mut secure_boot = Vec::new();
        if let Some(keys) = self.enroll_keys {
            secure_boot.push(("enrollKeys", Tree::text(keys.as_str())));
        }
        if self.well_known_certificates {
            secure_boot.push((
                "includeWellKnownCertificates",
                Tree::Plain("true".to_owned()),
            ));
        }
        if !secure_boot.is_empty() {
            fields.push(("secureboot", Tree::map(secure_boot)));
        }
        if self.sector_size != 0 {
            let size = Tree::Plain(self.sector_size.to_string());
            fields.push(("diskImage", Tree::map([("sectorSize", size)])));
        }
        Tree::map(fields)
    }
}

impl Overlay {
    fn tree(&self) -> Tree {
        let mut fields = vec![
            ("image", Tree::text(&self.image)),
            ("name", Tree::text(&self.name)),
        ];
        if !self.options.is_empty() {
            let options = self.options.iter();
            let options = options.map(|(name, value)| (Value::Text(name.clone()), value.clone()));
            fields.push(("options", Tree::from(&Value::Map(options.collect()))));
        }
        Tree::map(fields)
    }
}

#[cfg(test)]
mod tests;
