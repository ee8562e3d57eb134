//! What is wrong with a wish, at the place in the user's configuration where it is.

/// A place in a configuration: attribute, then members or keys.
pub type Place = Vec<String>;

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the plan.
    pub is_error: bool,
    /// Attribute, then keys and members; empty if it has no one place.
    pub place: Place,
    /// One line.
    pub summary: String,
    /// Why, and what to do.
    pub detail: String,
}

/// Collects everything that is wrong, not just the first.
#[derive(Clone, Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds an error.
    pub fn error(&mut self, place: &[&str], summary: impl Into<String>, detail: impl Into<String>) {
        self.push(true, place, summary.into(), detail.into());
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        place: &[&str],
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.push(false, place, summary.into(), detail.into());
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.is_error)
    }

    /// Forgets what is at these attributes: they were found wrong already, in another way.
    pub fn leave_out(&mut self, attributes: &[&str]) {
        self.0.retain(|problem| {
            let attribute = problem.place.first().map(String::as_str);
            !attribute.is_some_and(|attribute| attributes.contains(&attribute))
        });
    }

    fn push(&mut self, is_error: bool, place: &[&str], summary: String, detail: String) {
        let place = place.iter().map(|part| (*part).to_owned()).collect();
        self.0.push(Problem {
            is_error,
            place,
            summary,
            detail,
        });
    }
}
