//! From nodes to a schematic: every field by name, nothing unknown, nothing of another type.

use super::{
    Bootloader, EnrollKeys, Fault, InvalidSchematic, Meta, Overlay, Schematic, Value,
    node::{self, Kind, Node},
    plain::{self, Plain},
};
use crate::near::nearest;

/// Reads a schematic, collecting all faults.
pub(super) fn read(text: &str) -> Result<Schematic, InvalidSchematic> {
    let Some(root) = node::compose(text)? else {
        let fault = Fault {
            line: 1,
            column: 1,
            what: "there is no document; an empty schematic is written customization: {}"
                .to_owned(),
        };
        return Err(InvalidSchematic(vec![fault]));
    };
    let mut reader = Reader::default();
    let mut schematic = Schematic::default();
    reader.schematic(&root, &mut schematic);
    if reader.faults.is_empty() {
        Ok(schematic)
    } else {
        Err(InvalidSchematic(reader.faults))
    }
}

const TOP: [&str; 3] = ["owner", "overlay", "customization"];
const OVERLAY: [&str; 3] = ["image", "name", "options"];
const CUSTOMIZATION: [&str; 7] = [
    "embeddedMachineConfiguration",
    "extraKernelArgs",
    "meta",
    "systemExtensions",
    "bootloader",
    "secureboot",
    "diskImage",
];
const META: [&str; 2] = ["key", "value"];
const EXTENSIONS: [&str; 1] = ["officialExtensions"];
const SECURE_BOOT: [&str; 2] = ["enrollKeys", "includeWellKnownCertificates"];
const DISK_IMAGE: [&str; 1] = ["sectorSize"];

#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn schematic(&mut self, root: &Node, schematic: &mut Schematic) {
        self.fields(root, "a schematic", &TOP, |reader, key, value| match key {
            "owner" => schematic.owner = reader.text(value),
            "overlay" => schematic.overlay = reader.overlay(value),
            _ => reader.customization(value, schematic),
        });
    }

    fn overlay(&mut self, node: &Node) -> Overlay {
        let mut overlay = Overlay::default();
        self.fields(node, "overlay", &OVERLAY, |reader, key, value| match key {
            "image" => overlay.image = reader.text(value),
            "name" => overlay.name = reader.text(value),
            _ => overlay.options = reader.options(value),
        });
        overlay
    }

    fn customization(&mut self, node: &Node, schematic: &mut Schematic) {
        self.fields(
            node,
            "customization",
            &CUSTOMIZATION,
            |reader, key, value| match key {
                "embeddedMachineConfiguration" => {
                    schematic.embedded_machine_configuration = reader.text(value);
                }
                "extraKernelArgs" => schematic.kernel_args = reader.texts(value),
                "meta" => {
                    schematic.meta = reader.list(value, Self::meta);
                }
                "systemExtensions" => {
                    reader.fields(
                        value,
                        "systemExtensions",
                        &EXTENSIONS,
                        |reader, _, value| {
                            schematic.extensions = reader.texts(value);
                        },
                    );
                }
                "bootloader" => {
                    let text = reader.text(value);
                    if !value.is_null() {
                        schematic.bootloader =
                            reader.word(value, &text, &Bootloader::ALL, Bootloader::as_str);
                    }
                }
                "secureboot" => reader.secure_boot(value, schematic),
                _ => reader.fields(value, "diskImage", &DISK_IMAGE, |reader, _, value| {
                    schematic.sector_size = reader.number(value, u64::MAX);
                }),
            },
        );
    }

    fn secure_boot(&mut self, node: &Node, schematic: &mut Schematic) {
        self.fields(node, "secureboot", &SECURE_BOOT, |reader, key, value| {
            if key == "includeWellKnownCertificates" {
                schematic.well_known_certificates = reader.bool(value);
                return;
            }
            let text = reader.text(value);
            if text == "if-safe" {
                reader.faults.push(value.fault(
                    "if-safe is what holds without enrollKeys: leave the key out, so that the id is clear",
                ));
            } else if !value.is_null() {
                schematic.enroll_keys =
                    Some(reader.word(value, &text, &EnrollKeys::ALL, EnrollKeys::as_str));
            }
        });
    }

    fn meta(&mut self, node: &Node) -> Meta {
        let mut meta = Meta::default();
        self.fields(node, "an entry of meta", &META, |reader, key, value| {
            if key == "key" {
                let number = reader.number(value, u64::from(u8::MAX));
                meta.key = u8::try_from(number).unwrap_or_default();
            } else {
                meta.value = reader.text(value);
            }
        });
        meta
    }

    fn fields(
        &mut self,
        node: &Node,
        what: &str,
        known: &[&str],
        mut field: impl FnMut(&mut Self, &str, &Node),
    ) {
        if node.is_null() {
            return;
        }
        let Kind::Map(entries) = &node.kind else {
            return self.mistyped(node, &format!("{what} is a mapping"));
        };
        for (key, value) in entries {
            let name = key_text(key);
            if known.contains(&name) {
                field(self, name, value);
                continue;
            }
            let known = nearest(name, known.iter().copied()).map_or_else(
                || format!("there are {}", known.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            self.faults
                .push(key.fault(format!("field {name} is unknown in {what} ({known})")));
        }
    }

    fn list<T>(&mut self, node: &Node, mut item: impl FnMut(&mut Self, &Node) -> T) -> Vec<T> {
        match &node.kind {
            _ if node.is_null() => Vec::new(),
            Kind::List(items) => items
                .iter()
                .map(|node| {
                    if node.is_null() {
                        // The factory drops it without a word.
                        self.faults.push(node.fault("an item that is empty"));
                    }
                    item(self, node)
                })
                .collect(),
            _ => {
                self.mistyped(node, "a list is wanted");
                Vec::new()
            }
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<String> {
        self.list(node, Self::text)
    }

    /// Any scalar is text, as it was written.
    fn text(&mut self, node: &Node) -> String {
        match &node.kind {
            _ if node.is_null() => String::new(),
            Kind::Scalar { text, .. } => text.clone(),
            _ => {
                self.mistyped(node, "text is wanted");
                String::new()
            }
        }
    }

    fn bool(&mut self, node: &Node) -> bool {
        if let Kind::Scalar { text, is_text } = &node.kind {
            if !is_text && let Plain::Bool(value) = plain::meaning(text) {
                return value;
            }
            match text.as_str() {
                "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return true,
                "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return false,
                _ => {}
            }
        }
        if !node.is_null() {
            self.mistyped(node, "true or false is wanted");
        }
        false
    }

    fn number(&mut self, node: &Node, most: u64) -> u64 {
        if node.is_null() {
            return 0;
        }
        if let Kind::Scalar {
            text,
            is_text: false,
        } = &node.kind
        {
            let number = match plain::meaning(text) {
                Plain::Int(number) => u64::try_from(number).ok(),
                Plain::Uint(number) => Some(number),
                _ => None,
            };
            if let Some(number) = number.filter(|number| *number <= most) {
                return number;
            }
        }
        self.mistyped(node, &format!("a whole number from 0 to {most} is wanted"));
        0
    }

    fn word<T: Copy + Default>(
        &mut self,
        node: &Node,
        text: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> T {
        let found = all
            .iter()
            .copied()
            .find(|word| name(*word).eq_ignore_ascii_case(text));
        found.unwrap_or_else(|| {
            let all: Vec<&str> = all.iter().map(|word| name(*word)).collect();
            let near = nearest(text, all.iter().copied())
                .map(|near| format!(" (did you mean {near}?)"))
                .unwrap_or_default();
            self.faults
                .push(node.fault(format!("\"{text}\" is none of {}{near}", all.join(", "))));
            T::default()
        })
    }

    fn options(&mut self, node: &Node) -> Vec<(String, Value)> {
        if node.is_null() {
            return Vec::new();
        }
        let Kind::Map(entries) = &node.kind else {
            self.mistyped(node, "options is a mapping");
            return Vec::new();
        };
        let mut options = Vec::new();
        for (key, value) in entries {
            if key.is_null() {
                self.faults.push(key.fault("an option without a name"));
            }
            options.push((key_text(key).to_owned(), self.value(value)));
        }
        options
    }

    fn value(&mut self, node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar {
                text,
                is_text: true,
            } => Value::Text(text.clone()),
            Kind::Scalar { text, .. } => match plain::meaning(text) {
                Plain::Null => Value::Null,
                Plain::Bool(value) => Value::Bool(value),
                Plain::Int(number) => Value::Int(number),
                Plain::Uint(number) => Value::Uint(number),
                Plain::Float(number) => Value::Float(number),
                Plain::Timestamp(text) => Value::Timestamp(text),
                Plain::Text => Value::Text(text.clone()),
            },
            Kind::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            Kind::Map(entries) => {
                let mut found: Vec<(Value, Value)> = Vec::new();
                for (key, value) in entries {
                    let name = self.value(key);
                    if found.iter().any(|(known, _)| *known == name) {
                        self.faults
                            .push(key.fault(format!("key {} stands twice", key_text(key))));
                    }
                    found.push((name, self.value(value)));
                }
                Value::Map(found)
            }
        }
    }

    fn mistyped(&mut self, node: &Node, wanted: &str) {
        let found = match &node.kind {
            Kind::Scalar { text, .. } => format!("\"{text}\""),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        };
        self.faults
            .push(node.fault(format!("{wanted}, not {found}")));
    }
}

fn key_text(node: &Node) -> &str {
    match &node.kind {
        Kind::Scalar { text, .. } => text,
        _ => "",
    }
}
