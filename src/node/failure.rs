//! Why a call failed, as the other end can act on it.
//!
//! One type for the whole helper, because it is the wire's own: what a caller needs is the kind, the
//! subject and a fragment, and no error of ours is handled on this side of the connection.

use std::{fmt::Display, io, path::Path};

use prost::Message;
use tonic::{Code, Status};

use crate::proto::{Failure, failure::Kind};

/// Lines of a program's or unit's output that travel with a failure.
const OUTPUT_LINES: usize = 20;

/// A failure with kind, subject and a fragment; becomes the details of a gRPC status.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct Failed(pub(crate) Box<Failure>);

impl Failed {
    /// A failure of `kind` about `subject`.
    pub(crate) fn new(kind: Kind, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            kind: kind.into(),
            subject: subject.into(),
            message: message.into(),
            ..Failure::default()
        }))
    }

    /// With what a person can do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// With the last lines of a program or unit.
    #[must_use]
    pub(crate) fn output(mut self, text: &str) -> Self {
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(OUTPUT_LINES)..];
        self.0.output = last.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// An error of the system at a path. `doing` is what was tried: `writing`.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::DiskFull,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Kind::PermissionDenied
            }
            io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Internal,
        };
        let shown = path.display();
        let failed = Self::new(
            kind,
            shown.to_string(),
            format!("{doing} {shown} failed: {error}"),
        );
        if kind == Kind::DiskFull {
            let free_mib = crate::observe::free_bytes(path) >> 20;
            return failed.hint(format!(
                "Make room on the file system of {shown}: {free_mib} MiB are free."
            ));
        }
        failed
    }

    /// A request that breaks a rule of the interface.
    pub(crate) fn invalid(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, subject, message)
    }

    /// Something in the way that the ledger does not own.
    pub(crate) fn foreign(path: &str) -> Self {
        Self::new(
            Kind::Foreign,
            path,
            format!("{path} is there already and was not made by this provider"),
        )
        .hint("Move it away, or choose another name.")
    }

    /// Something that belongs to another owner.
    pub(crate) fn conflict(path: &str, owner: &str) -> Self {
        Self::new(
            Kind::Conflict,
            path,
            format!("{path} belongs to {owner} on this host"),
        )
    }

    /// Something shared that another owner needs as it is.
    pub(crate) fn relied_upon(path: &str, owner: &str) -> Self {
        Self::new(
            Kind::Conflict,
            path,
            format!("{path} would get other content, and {owner} relies on what it has"),
        )
        .hint(
            "Two CAs of one name cannot serve clusters on the same host: give one of them another name, \
             or use the same CA for both.",
        )
    }

    /// Something that should never happen.
    pub(crate) fn internal(subject: impl Into<String>, message: impl Display) -> Self {
        Self::new(Kind::Internal, subject, message.to_string())
    }
}

impl From<Failed> for Status {
    fn from(failed: Failed) -> Self {
        let code = match failed.0.kind() {
            Kind::InvalidRequest => Code::InvalidArgument,
            Kind::NotFound => Code::NotFound,
            Kind::Locked | Kind::NotYet | Kind::CaUnavailable => Code::Unavailable,
            Kind::Deadline => Code::DeadlineExceeded,
            Kind::Internal => Code::Internal,
            _ => Code::FailedPrecondition,
        };
        let message = failed.0.message.clone();
        Self::with_details(code, message, failed.0.encode_to_vec().into())
    }
}

/// An error with everything behind it, outermost first: libraries say little in their own text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn travels_in_the_details_of_a_status() {
        let failed = Failed::new(Kind::Locked, "host", "host is locked by ops").hint("Wait.");
        let status = Status::from(failed.clone());
        assert_eq!(status.code(), Code::Unavailable);
        let back = Failure::decode(status.details()).expect("a failure");
        assert_eq!(back, *failed.0);
    }

    #[test]
    fn keeps_the_last_lines_of_output() {
        let text: String = (0..40)
            .flat_map(|line| [format!("line {line}"), "\n\n".to_owned()])
            .collect();
        let output = Failed::new(Kind::UnitFailed, "a.service", "x")
            .output(&text)
            .0
            .output;
        assert_eq!(output.len(), OUTPUT_LINES);
        assert_eq!(output.last().map(String::as_str), Some("line 39"));
    }
}
