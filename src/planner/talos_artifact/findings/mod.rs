//! What is not as it should be, each with the steps that mend it, or the reason why none does.
//!
//! Drift, plan and status are made from this one list, so that no sentence is without an answer.

mod file;
mod local;
mod old;
mod supply;
mod tag;

use super::{
    desired::{Desired, Source},
    observed::{Bytes, Observed},
    recorded::Recorded,
    step::Step,
};
use crate::{
    facts::Fact,
    problem::{Place, Problem},
};

pub use old::{EXCHANGED, forget_unreachable};
pub(super) use old::{exchanged, remove};

/// Something that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// A sentence about what changed behind our back; empty for work that is wanted.
    pub(super) drift: String,
    /// What mends it.
    pub(super) steps: Vec<Step>,
    /// What does not answer and is needed.
    pub(super) waits: Option<Wait>,
    /// What does not answer and is not needed now.
    pub(super) unseen: String,
    /// Whether that leaves open if users have what they need: a factory and a registry do not.
    pub(super) is_open: bool,
    /// What a person has to decide.
    pub(super) refusal: Option<Problem>,
    /// What is done and should be known.
    pub(super) warning: Option<Problem>,
}

impl Finding {
    fn step(step: Step) -> Self {
        Self {
            steps: vec![step],
            ..Self::default()
        }
    }

    fn waits(place: &[&str], sentence: String) -> Self {
        Wait::new(place, sentence).into()
    }

    fn unseen(sentence: String) -> Self {
        Self {
            unseen: sentence,
            ..Self::default()
        }
    }

    /// Of a place from which machines boot.
    fn open(self) -> Self {
        Self {
            is_open: true,
            ..self
        }
    }

    fn refuses(place: &[&str], summary: &str, detail: String) -> Self {
        Self {
            refusal: Some(problem(true, place, summary, detail)),
            ..Self::default()
        }
    }

    fn because(self, drift: String) -> Self {
        Self { drift, ..self }
    }
}

/// Something that does not answer and is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The attribute that names it.
    pub place: Place,
    /// A fragment.
    pub why: String,
}

impl Wait {
    fn new(place: &[&str], why: String) -> Self {
        Self {
            place: place.iter().map(|part| (*part).to_owned()).collect(),
            why,
        }
    }
}

impl From<Wait> for Finding {
    fn from(wait: Wait) -> Self {
        Self {
            waits: Some(wait),
            ..Self::default()
        }
    }
}

/// That a place has the image as it was built another time than everywhere else.
fn other_build(place: &str, has: &Bytes, wanted: Option<&Bytes>) -> String {
    let short = |bytes: &Bytes| bytes.sha256.get(..12).unwrap_or(&bytes.sha256).to_owned();
    format!(
        "{place} is another build of the image (SHA-256 {}… instead of {}…)",
        short(has),
        wanted.map(short).unwrap_or_default()
    )
}

fn problem(is_error: bool, place: &[&str], summary: &str, detail: String) -> Problem {
    Problem {
        is_error,
        place: place.iter().map(|part| (*part).to_owned()).collect(),
        summary: summary.to_owned(),
        detail,
    }
}

/// Everything, in the order in which it is mended.
pub(super) fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(schematic(desired, observed));
    if desired.has_image() {
        found.extend(tag::artifact(desired, observed));
        for (index, target) in desired.targets.iter().enumerate() {
            file::files(desired, observed, index, target, &mut found);
        }
        found.extend(local::local(desired, observed));
    }
    found.extend(tag::installer(desired, observed));
    found.extend(tag::factory_installer(desired, observed));
    supply::supply(desired, observed, &mut found);
    old::old(desired, observed, &mut found);
    found
}

fn schematic(desired: &Desired, observed: &Observed) -> Option<Finding> {
    let Source::Factory { url, id, .. } = &desired.source else {
        return None;
    };
    let Recorded {
        schematic,
        schematic_factory,
        ..
    } = &observed.recorded;
    let to_it = schematic_factory.as_deref();
    let was_given = schematic.as_deref() == Some(id.as_str())
        && to_it.is_none_or(|factory| factory == url.as_str());
    let ensure = Finding::step(Step::EnsureSchematic {
        factory: url.as_str().to_owned(),
        id: id.to_string(),
    });
    match observed.schematic(url, id) {
        Some(Fact::Unknown(why)) => {
            let sentence = format!("the factory {} does not answer: {why}", url.as_str());
            Some(if was_given {
                Finding::unseen(sentence)
            } else {
                Finding::waits(&["factory_url"], sentence)
            })
        }
        Some(Fact::Known(false)) if was_given => Some(ensure.because(format!(
            "the factory {} does not know the schematic {id}",
            url.as_str()
        ))),
        _ if was_given => None,
        // Where it is known already, the step writes nothing but our record.
        _ => Some(ensure),
    }
}
