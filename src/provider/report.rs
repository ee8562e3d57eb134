//! What a user is told: planner's problems and failures on hosts as diagnostics at the user's own
//! attributes.

use std::{
    error::Error as StdError,
    fmt::{Debug, Display},
};

use host::{NodeError, proto::failure::Kind};
use planner::{
    name::NodeKey,
    problem::{Place, Problems},
};
use tf_plugin::{Diagnostic, Diagnostics, Path};

use crate::{
    download,
    executor::{self, Retry},
};

/// Why something could not be done on a host, or for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// There is no helper to talk to.
    #[error("host of node {key} cannot be worked on")]
    Connect {
        /// Which node.
        key: NodeKey,
        /// Why.
        source: Box<host::Error>,
    },
    /// The helper failed.
    #[error("node {key}")]
    Call {
        /// Which node.
        key: NodeKey,
        /// Why.
        source: Box<NodeError>,
    },
    /// The CA of the cluster did not do what it was asked.
    #[error("{place}")]
    Ca {
        /// Which CA, where.
        place: String,
        /// Why.
        source: Box<Self>,
        /// Whether it may do so soon: its nodes are not those of the cluster, though their keys may be the
        /// same.
        retry: Retry,
    },
    /// An archive cannot be had.
    #[error("getting the programs failed")]
    Download(#[from] download::Error),
    /// It is on its way.
    #[error("{0}")]
    NotYet(String),
    /// Something is as it must not be.
    #[error("{why}")]
    Refused {
        /// A lower-case fragment.
        why: String,
        /// What to do next, as a sentence.
        hint: String,
    },
}

impl Trouble {
    /// What holds now, as a sentence; may be empty.
    fn holds(&self) -> String {
        match self {
            Self::Connect { source, .. } => source.holds(),
            Self::Call { source, .. } => source.holds().to_owned(),
            Self::Ca { source, .. } => source.holds(),
            Self::Download(_) => "Nothing was laid down on the hosts.".to_owned(),
            Self::NotYet(_) | Self::Refused { .. } => String::new(),
        }
    }

    /// What to do next, as a sentence; may be empty.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Connect { source, .. } => source.hint(),
            Self::Call { source, .. } => source.hint(),
            Self::Ca { source, .. } => source.hint(),
            Self::Download(error) => error.hint(),
            Self::NotYet(_) => String::new(),
            Self::Refused { hint, .. } => hint.clone(),
        }
    }

    /// The node that it is about, if it is about one.
    pub(crate) fn key(&self) -> Option<&NodeKey> {
        match self {
            Self::Connect { key, .. } | Self::Call { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The node's host in `nodes`, if it is about one.
    fn place(&self) -> Option<Path> {
        match self {
            Self::Connect { key, .. } => Some(Path::attribute("nodes").key(key.as_str())),
            _ => None,
        }
    }

    /// Whether the host could not be reached, which is a fact about it and no fault of anybody's.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect { source, .. } => source.is_unreachable(),
            Self::Call { source, .. } => source.is_lost(),
            _ => false,
        }
    }

    /// Whether the host answers that a file of ours cannot be read, or not by this version.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Self::Call { source, .. } => source.failure().is_some_and(|failure| {
                matches!(failure.kind(), Kind::BrokenFile | Kind::NewerFormat)
            }),
            _ => false,
        }
    }

    /// In one line, without what comes next.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Connect { source, .. } => chain(&**source),
            Self::Call { source, .. } => source.to_string(),
            Self::Ca { place, source, .. } => format!("{place}: {}", source.line()),
            other => chain(other),
        }
    }
}

/// A failure that can be told to a person.
pub(crate) trait Told: StdError + 'static {
    /// As an error with a summary of the caller's.
    fn diagnostic(&self, summary: impl Into<String>) -> Diagnostic;

    /// Whether something was seen that must not be, and nothing failed.
    fn is_refusal(&self) -> bool {
        false
    }
}

impl Told for Trouble {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    fn diagnostic(&self, summary: impl Into<String>) -> Diagnostic {
        let parts = [sentence(&self.line()), self.holds(), hint(&self.hint())];
        told(summary, &parts, self.place())
    }
}

/// An error of sentences, at its place.
pub(crate) fn told(
    summary: impl Into<String>,
    sentences: &[String],
    place: Option<Path>,
) -> Diagnostic {
    at(Diagnostic::error(summary, paragraph(sentences)), place)
}

/// A diagnostic at its place, if there is one.
pub(crate) fn at(diagnostic: Diagnostic, place: Option<Path>) -> Diagnostic {
    match place {
        Some(place) => diagnostic.at(place),
        None => diagnostic,
    }
}

/// An error with all its causes: "a: b: c".
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A fragment with a capital at its beginning and a full stop at its end.
pub(crate) fn sentence(fragment: &str) -> String {
    let mut letters = fragment.trim().chars();
    let mut text: String = match letters.next() {
        // Names of hosts and paths are no words.
        Some(first)
            if first.is_ascii_lowercase()
                && !["etcd", "http"]
                    .iter()
                    .any(|word| fragment.starts_with(word)) =>
        {
            first.to_uppercase().chain(letters).collect()
        }
        Some(first) => std::iter::once(first).chain(letters).collect(),
        None => return String::new(),
    };
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

/// A hint on a line of its own; nothing if there is none.
pub(crate) fn hint(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("\nHint: {}", sentence(text))
    }
}

fn paragraph(parts: &[String]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(" ").replace(" \n", "\n")
}

/// Blocks that stand at most once, a name follows; and an attribute that each has, because Core does not
/// find the line of a block itself.
const BLOCKS: [(&str, &str); 3] = [
    ("builder", "host"),
    ("installer", "repository"),
    ("overlay", "image"),
];
/// Lists, and blocks that stand several times: a number follows.
const LISTS: [&str; 4] = ["extension_images", "extensions", "kernel_args", "proxmox"];

/// Problems of the planner at their places.
pub(crate) fn problems(problems: Problems) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for problem in problems.0 {
        let diagnostic = if problem.is_error {
            Diagnostic::error(problem.summary, problem.detail)
        } else {
            Diagnostic::warning(problem.summary, problem.detail)
        };
        diagnostics.push(at(diagnostic, path(problem.place)));
    }
    diagnostics
}

/// A place of the planner as Core takes it; none if there is no one place.
pub(crate) fn path(place: Place) -> Option<Path> {
    let mut place = place.into_iter();
    let attribute = place.next()?;
    let block = BLOCKS.into_iter().find(|(name, _)| *name == attribute);
    let path = Path::attribute(attribute);
    // Core finds the line of an attribute, of an entry in it, and of an attribute of a block; one step
    // further, and it points at the whole resource.
    Some(match (place.next(), place.next()) {
        (Some(member), _) if block.is_some() => path.member(member),
        (Some(index), member)
            if index.parse::<i64>().is_ok() && LISTS.contains(&path.to_string().as_str()) =>
        {
            let path = path.index(index.parse().unwrap_or_default());
            match member {
                Some(member) => path.member(member),
                None => path,
            }
        }
        (Some(key), _) => path.key(key),
        (None, _) => match block {
            Some((_, named)) => path.member(named),
            None => path,
        },
    })
}

/// A warning at a place of the planner.
pub(crate) fn warned(
    summary: impl Into<String>,
    detail: impl Into<String>,
    place: Place,
) -> Diagnostic {
    at(Diagnostic::warning(summary, detail), path(place))
}

/// Why a run came to its end before everything was done.
pub(crate) fn blocked(what: &str, reasons: &[String], next: &str) -> Diagnostic {
    let sentences: Vec<String> = reasons.iter().map(|reason| sentence(reason)).collect();
    Diagnostic::error(
        format!("{what}: nothing more can be done now"),
        format!("{}\n{next}", sentences.join("\n")),
    )
}

/// Why a run did not come to its end, and what was not done.
pub(crate) fn run<S: Debug + Display, E: Told>(
    what: &str,
    error: &executor::Error<S, E>,
    next: &str,
) -> Diagnostic {
    use executor::Error;
    let mut diagnostic = match error {
        // What was seen, and not the look at it, is why it stops.
        Error::Observe(trouble) if trouble.is_refusal() => {
            trouble.diagnostic(format!("{what}: stopped before the next step"))
        }
        Error::Observe(trouble) => {
            trouble.diagnostic(format!("{what}: looking at what is there failed"))
        }
        Error::Step { step, source, left } => {
            let mut diagnostic = source.diagnostic(format!("{what}: could not {step}"));
            if !left.is_empty() {
                let left: Vec<String> = left.iter().map(ToString::to_string).collect();
                diagnostic.detail =
                    format!("{}\nNot done yet: {}.", diagnostic.detail, left.join("; "));
            }
            diagnostic
        }
        Error::Blocked(reasons) => return blocked(what, reasons, next),
        Error::Cancelled(_) => {
            Diagnostic::error(format!("{what}: stopped as asked"), sentence(&chain(error)))
        }
        Error::Deadline { look, .. } => Diagnostic::error(
            format!("{what} was not completed"),
            format!(
                "{}{}",
                sentence(&chain(error)),
                hint(look.as_deref().unwrap_or_default())
            ),
        ),
        Error::Stuck(_) => {
            Diagnostic::error(format!("{what} was not completed"), sentence(&chain(error)))
        }
    };
    diagnostic.detail = format!("{}\n{next}", diagnostic.detail);
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_sentences_of_fragments() {
        assert_eq!(sentence("reading /etc/x failed"), "Reading /etc/x failed.");
        assert_eq!(sentence("etcd 3.5.1 is old."), "etcd 3.5.1 is old.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn finds_the_place_of_a_node() {
        let mut list = Problems::default();
        list.error(&["nodes", "1", "host"], "a", "b");
        let place = problems(list).iter().next().and_then(|d| d.path.clone());
        assert_eq!(
            place.map(|path| path.to_string()).as_deref(),
            Some("nodes[\"1\"]")
        );
    }
}
