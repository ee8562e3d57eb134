//! One call: what is asked of whom, and what it is for.

use reqwest::Method;

use crate::{encode, refusal::About};

/// A call without a streamed body.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// For errors: "list storage local of node pve01".
    pub(crate) doing: String,
    /// Whose endpoint is asked; any will do for `None`.
    pub(crate) node: Option<&'a str>,
    pub(crate) method: Method,
    /// Below `/api2/json`, encoded, with a slash first.
    pub(crate) path: String,
    /// Body of a POST.
    pub(crate) form: Option<String>,
    pub(crate) about: About<'a>,
}

impl<'a> Call<'a> {
    /// A GET; `segments` are encoded here.
    pub(crate) fn get(doing: impl Into<String>, segments: &[&str]) -> Self {
        Self::new(Method::GET, doing, segments)
    }

    pub(crate) fn new(method: Method, doing: impl Into<String>, segments: &[&str]) -> Self {
        Self {
            doing: doing.into(),
            node: None,
            method,
            path: path(segments),
            form: None,
            about: About::default(),
        }
    }

    pub(crate) fn of_node(mut self, node: &'a str) -> Self {
        self.node = Some(node);
        self
    }

    pub(crate) fn about(mut self, about: About<'a>) -> Self {
        self.about = about;
        self.of_node(about.node)
    }

    pub(crate) fn query(mut self, fields: &[(&str, &str)]) -> Self {
        self.path = format!("{}?{}", self.path, encode::form(fields));
        self
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.form = Some(encode::form(fields));
        self
    }
}

/// Path of encoded segments; never with an empty one, since Proxmox takes a double slash for
/// another path.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        path.push('/');
        path.push_str(&encode::percent(segment));
    }
    path
}
