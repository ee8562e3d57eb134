//! YAML text as a tree of nodes with positions: anchors resolved, merge keys expanded, scalars left
//! as they were written, because what a plain scalar means depends on the reader (go-yaml here).

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Fault, InvalidSchematic};

/// Nodes of a document after aliases are followed: a schematic has some dozens.
const MOST_NODES: usize = 20_000;

/// Collections in collections.
const DEEPEST: usize = 64;

/// A node of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) kind: Kind,
}

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar {
        text: String,
        /// Quoted, a block, or tagged as a string: never anything but text.
        is_text: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A fault at its place.
    pub(super) fn fault(&self, what: impl Into<String>) -> Fault {
        self.at.fault(what)
    }

    /// Whether it stands for nothing: `~`, `null` or an empty place.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, is_text: false }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    fn is_merge(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, is_text: false } if text == "<<")
    }

    fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Self::count).sum(),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| key.count() + value.count())
                .sum(),
        }
    }
}

impl At {
    pub(super) fn fault(self, what: impl Into<String>) -> Fault {
        Fault {
            line: self.line,
            column: self.column,
            what: what.into(),
        }
    }
}

impl From<Marker> for At {
    fn from(marker: Marker) -> Self {
        Self {
            line: marker.line().max(1),
            column: marker.col() + 1,
        }
    }
}

/// Reads the one document of a text; `None` if there is none.
pub(super) fn compose(text: &str) -> Result<Option<Node>, InvalidSchematic> {
    // YAML 1.1, which the factory reads, folds lines there; YAML 1.2 does not.
    if let Some((line, column)) = position(text, |char| {
        matches!(char, '\u{85}' | '\u{2028}' | '\u{2029}')
    }) {
        let fault = At { line, column }.fault(
            "a line separator that is not a line feed: write it as an escape in double quotes",
        );
        return Err(InvalidSchematic(vec![fault]));
    }
    let first = text
        .lines()
        .zip(1..)
        .find(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    if let Some((directive, line)) = first.filter(|(line, _)| line.starts_with('%')) {
        let fault = At { line, column: 1 }.fault(format!(
            "the directive {directive} has no place in a schematic; the factory reads YAML 1.1"
        ));
        return Err(InvalidSchematic(vec![fault]));
    }
    let mut composer = Composer {
        text: text.chars().collect(),
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        nodes: 0,
    };
    composer
        .document()
        .map_err(|fault| InvalidSchematic(vec![fault]))
}

fn position(text: &str, wanted: impl Fn(char) -> bool) -> Option<(usize, usize)> {
    text.split('\n').enumerate().find_map(|(line, content)| {
        let column = content.chars().position(&wanted)?;
        Some((line + 1, column + 1))
    })
}

struct Composer<'a> {
    text: Vec<char>,
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(At::from(*error.marker()).fault(error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Refuses the escape that YAML 1.2 has for JSON's sake and YAML 1.1 has not.
    fn escapes(&self, span: Span) -> Result<(), Fault> {
        let source = &self.text[..span.end.index().min(self.text.len())];
        let mut source = source.iter().skip(span.start.index());
        while let Some(char) = source.next() {
            if *char == '\\' && source.next() == Some(&'/') {
                return Err(At::from(span.start)
                    .fault("the escape \\/, which the factory does not know: write / alone"));
            }
        }
        Ok(())
    }

    fn document(&mut self) -> Result<Option<Node>, Fault> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(found),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if found.is_some() => {
                    return Err(At::from(span.start)
                        .fault("a second document: the factory reads the first one only"));
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    found = Some(self.node(event, span, 0)?);
                }
                _ => return Err(At::from(span.start).fault("content outside of a document")),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let at = At::from(span.start);
        self.nodes += 1;
        if self.nodes > MOST_NODES || depth > DEEPEST {
            return Err(at.fault("the document is too large for a schematic"));
        }
        let (anchor, kind) = match event {
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(at.fault("an anchor that contains itself"));
                };
                self.nodes += node.count();
                return Ok(Node { at, ..node });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || is_string(tag.as_deref(), at)?;
                let text = text.into_owned();
                if style == ScalarStyle::Plain {
                    begins_plainly(&text, at)?;
                } else if style == ScalarStyle::DoubleQuoted {
                    self.escapes(span)?;
                }
                (anchor, Kind::Scalar { text, is_text })
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_deref(), "seq", at)?;
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                (anchor, Kind::List(items))
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_deref(), "map", at)?;
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        break;
                    }
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    entries.push((key, self.node(event, span, depth + 1)?));
                }
                (anchor, Kind::Map(merged(unique(entries)?)?))
            }
            _ => return Err(at.fault("the document ends too early")),
        };
        let node = Node { at, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

/// Refuses what begins like something else: YAML has such signs for itself, and not every parser
/// minds in every place.
fn begins_plainly(text: &str, at: At) -> Result<(), Fault> {
    match text.chars().next() {
        Some(sign) if ",[]{}#&*!|>'\"%@`".contains(sign) => {
            Err(at.fault(format!("a text that begins with {sign} needs quotes")))
        }
        _ => Ok(()),
    }
}

/// Whether a tag says string; the only tag with a use here.
fn is_string(tag: Option<&Tag>, at: At) -> Result<bool, Fault> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        Some(tag) => Err(at.fault(format!("the tag {tag} has no place in a schematic"))),
    }
}

fn untagged(tag: Option<&Tag>, own: &str, at: At) -> Result<(), Fault> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == own) => {
            Err(at.fault(format!("the tag {tag} has no place in a schematic")))
        }
        _ => Ok(()),
    }
}

/// Refuses a key that stands twice.
fn unique(entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, Fault> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, _) in &entries {
        let Kind::Scalar { text, .. } = &key.kind else {
            return Err(key.fault("a list or mapping as a key"));
        };
        if let Some(line) = seen.insert(text, key.at.line) {
            return Err(key.fault(format!("key {text} stands already in line {line}")));
        }
    }
    Ok(entries)
}

/// Entries with what `<<` brings: the mapping's own first, then each merged one.
fn merged(entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, Fault> {
    let (merges, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key.is_merge());
    let sources = merges.into_iter().flat_map(|(_, value)| match value.kind {
        Kind::List(items) => items,
        _ => vec![value],
    });
    for source in sources {
        let at = source.at;
        let Kind::Map(more) = source.kind else {
            return Err(at.fault("<< merges a mapping or a list of mappings"));
        };
        for (key, value) in more {
            let is_new = own.iter().all(|(known, _)| !same_key(known, &key));
            if is_new {
                own.push((key, value));
            }
        }
    }
    Ok(own)
}

fn same_key(left: &Node, right: &Node) -> bool {
    matches!((&left.kind, &right.kind),
        (Kind::Scalar { text: left, .. }, Kind::Scalar { text: right, .. }) if left == right)
}
