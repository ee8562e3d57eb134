//! A Core of our own: starts a provider as go-plugin does, speaks to it over gRPC, and checks its answers as
//! Terraform and OpenTofu check them.

mod certificate;
mod every_call;
mod life;
mod object;
mod plugin;
mod schema;
mod start;
mod value;

pub use certificate::ClientCertificate;
pub use every_call::every_call;
pub use life::{Life, Planned, Stored};
pub use object::{conforms_to_plan, proposed, valid_plan};
pub use plugin::{Calls, Ended, Plugin};
pub use schema::{block_type, identity_type, problems};
pub use start::{COOKIE, Line, Start, Trust};
pub use value::{configuration, errors, read, unknown_everywhere, write};

/// Why a test cannot go on.
pub type Failure = Box<dyn std::error::Error>;

/// Patience with a process on a busy machine; a healthy one answers in milliseconds.
pub const DEADLINE: std::time::Duration = std::time::Duration::from_mins(1);
