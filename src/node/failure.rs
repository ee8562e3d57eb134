//! Why a call failed, as the other end can act on it.

use prost::Message;
use tonic::{Code, Status};

use crate::proto::{Failure, failure::Kind};

/// A failure with kind, subject and a sentence; becomes the details of a gRPC status.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Failed(pub Failure);

impl Failed {
    /// A failure of `kind` about `subject`.
    pub fn new(kind: Kind, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Failure {
            kind: kind.into(),
            subject: subject.into(),
            message: message.into(),
            ..Failure::default()
        })
    }

    /// With what a person can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// With the last lines of a program or unit.
    #[must_use]
    pub fn output(mut self, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        self.0.output = lines[lines.len().saturating_sub(20)..].to_vec();
        self
    }

    /// An error of the system at a path.
    pub fn io(what: &str, path: impl Into<String>, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::DiskFull,
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Kind::PermissionDenied
            }
            std::io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Internal,
        };
        let path = path.into();
        Self::new(kind, path.clone(), format!("{what} {path} failed: {error}"))
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
