//! Pages of the registry's documentation, rendered from schemas: what is documented is what is
//! served.

use std::fmt::Write;

use crate::{
    provider::Signature,
    schema::{Attribute, Block, Mode, NestedBlock, Nesting, Schema},
    types::{Object, Type},
};

/// A page and what stands in it beside the schema.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// Full name of the resource, or of the provider.
    pub name: &'a str,
    /// `Resource`, `Provider`.
    pub kind: &'a str,
    /// HCL of an example.
    pub example: &'a str,
    /// A shell command that imports one; empty if there is none.
    pub import: &'a str,
}

/// Renders a page as markdown with the front matter that registries read.
pub fn page(page: &Page<'_>, schema: &Schema) -> String {
    let Page {
        name,
        kind,
        example,
        import,
    } = page;
    let summary = first_sentence(&schema.block.description);
    let title = if *kind == "Provider" {
        format!("{name} Provider")
    } else {
        format!("{name} {kind}")
    };
    let mut text = format!(
        "---\npage_title: \"{title}\"\nsubcategory: \"\"\ndescription: |-\n  {summary}\n---\n\n\
         <!-- Generated from the schema: change the schema, not this page. -->\n\n\
         # {title}\n\n{}\n\n## Example\n\n```terraform\n{}\n```\n\n",
        schema.block.description,
        example.trim_end()
    );
    text.push_str("## Schema\n\n");
    block(&mut text, &schema.block, "");
    if !import.is_empty() {
        let _ = write!(text, "## Import\n\n```shell\n{}\n```\n", import.trim_end());
    }
    let trimmed = text.trim_end().len();
    text.truncate(trimmed);
    text.push('\n');
    text
}

/// Renders the page of a function of the provider `provider`.
pub fn function_page(provider: &str, signature: &Signature, example: &str) -> String {
    let Signature {
        name,
        parameters,
        result,
        summary,
        description,
    } = signature;
    let taken: Vec<String> = parameters
        .iter()
        .map(|(name, ty, _)| format!("{name} {ty}"))
        .collect();
    let mut text = format!(
        "---\npage_title: \"{name} function - {provider}\"\nsubcategory: \"\"\ndescription: |-\n  \
         {summary}\n---\n\n<!-- Generated from the schema: change the schema, not this page. -->\n\n\
         # function: {name}\n\n{description}\n\n## Example\n\n```terraform\n{}\n```\n\n## Signature\n\n\
         ```text\n{name}({}) {result}\n```\n\n## Arguments\n\n",
        example.trim_end(),
        taken.join(", ")
    );
    for (index, (name, ty, description)) in (1..).zip(parameters) {
        let _ = writeln!(text, "{index}. `{name}` ({ty}) {description}");
    }
    text
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].replace('\n', " ")
}

/// Attributes of a block by who gives them, then its nested blocks, each with a heading of its own.
fn block(text: &mut String, block: &Block, parent: &str) {
    let groups = [
        ("Required", vec![Mode::Required]),
        ("Optional", vec![Mode::Optional, Mode::OptionalComputed]),
        ("Read-only", vec![Mode::Computed]),
    ];
    for (heading, modes) in groups {
        let mut found: Vec<&Attribute> = block
            .attributes
            .iter()
            .filter(|attribute| modes.contains(&attribute.mode))
            .collect();
        found.sort_by_key(|attribute| attribute.name);
        let nested: Vec<&NestedBlock> = if heading == "Optional" {
            block.blocks.iter().collect()
        } else {
            Vec::new()
        };
        if found.is_empty() && nested.is_empty() {
            continue;
        }
        let _ = write!(text, "### {heading}\n\n");
        for attribute in found {
            line(text, attribute);
        }
        for nested in nested {
            let path = join(parent, nested.name);
            let often = match nested.nesting {
                Nesting::Single => "block, at most one",
                Nesting::List => "block, any number",
                Nesting::Map => "labelled block, any number",
            };
            let _ = writeln!(
                text,
                "- `{}` ({often}): {} See [below](#{}).",
                nested.name,
                nested.block.description,
                anchor(&path)
            );
        }
        text.push('\n');
    }
    for nested in &block.blocks {
        let path = join(parent, nested.name);
        let _ = write!(text, "<a id=\"{}\"></a>\n## `{path}`\n\n", anchor(&path));
        self::block(text, &nested.block, &path);
    }
}

fn line(text: &mut String, attribute: &Attribute) {
    let mut notes = vec![words(&attribute.ty)];
    if attribute.sensitive {
        notes.push("sensitive".to_owned());
    }
    if attribute.write_only {
        notes.push("write-only".to_owned());
    }
    // A list within a description belongs under its item.
    let description = attribute.description.replace("\n- ", "\n  - ");
    let _ = writeln!(
        text,
        "- `{}` ({}): {description}",
        attribute.name,
        notes.join(", ")
    );
    if let Some(members) = members(&attribute.ty) {
        for (name, ty) in &members.members {
            let _ = writeln!(text, "  - `{name}` ({})", words(ty));
        }
    }
}

/// Members that a reader wants to know of.
fn members(ty: &Type) -> Option<&Object> {
    match ty {
        Type::Object(object) => Some(object),
        Type::List(inner) | Type::Map(inner) | Type::Set(inner) => members(inner),
        _ => None,
    }
}

fn words(ty: &Type) -> String {
    match ty {
        Type::Dynamic => "map of objects, checked by the provider".to_owned(),
        other => other.to_string(),
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn anchor(path: &str) -> String {
    format!("block-{}", path.replace('.', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_every_attribute_and_block() {
        let schema = Schema {
            version: 0,
            block: Block {
                description: "A thing. It is good.".to_owned(),
                attributes: vec![
                    Attribute::required("name", Type::String, "Its name."),
                    Attribute::computed(
                        "place",
                        Type::object([("host", Type::String)]),
                        "Where it is.",
                    ),
                    Attribute::optional("word", Type::String, "A word.").sensitive(),
                ],
                blocks: vec![NestedBlock {
                    name: "timeouts",
                    nesting: Nesting::Single,
                    block: Block {
                        description: "Limits.".to_owned(),
                        attributes: vec![Attribute::optional("read", Type::String, "One.")],
                        blocks: Vec::new(),
                    },
                }],
            },
        };
        let page = page(
            &Page {
                name: "x_thing",
                kind: "Resource",
                example: "resource {}\n",
                import: "",
            },
            &schema,
        );
        for part in [
            "description: |-\n  A thing.\n",
            "- `name` (string): Its name.",
            "- `place` (object): Where it is.\n  - `host` (string)",
            "- `word` (string, sensitive): A word.",
            "- `timeouts` (block, at most one): Limits. See [below](#block-timeouts).",
            "## `timeouts`\n\n### Optional\n\n- `read` (string): One.\n",
        ] {
            assert!(page.contains(part), "{part:?} is not in:\n{page}");
        }
    }
}
