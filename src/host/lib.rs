//! SSH sessions and the one gRPC channel to the helper on each host.
//!
//! [`Pool::node`] connects, checks the host key, logs in, starts the helper (sending it first where
//! it is missing) and hands out a [`Node`] to call it by. All resources share one connection per
//! host and login.
//!
//! Absent: any knowledge of etcd, shell text beyond the one constant script that starts the helper,
//! file transfer other than by the helper, and decisions on what to do when a host cannot be had.

mod auth;
mod error;
mod helper;
mod host_key;
mod known_hosts;
mod launch;
#[cfg(test)]
mod loopback;
mod node;
mod pipe;
mod pool;
mod profile;
mod refusal;
mod resolve;
mod secret;
mod session;
mod text;

/// Messages and client of the helper's interface, generated from `proto/node.proto`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated; the comments are in proto/node.proto"
)]
pub mod proto {
    include!("gen/node.rs");
}

pub use error::{Error, HostKeyError};
pub use helper::{Architecture, Error as HelperError, Helper, HelperSource};
pub use host_key::{HostKey, ParseHostKeyError};
pub use known_hosts::{Place, ReadError};
pub use node::{Client, Node, NodeError, NodeErrorKind, Operator, failure};
pub use pipe::Ending;
pub use pool::{Lease, Pool};
pub use profile::{Bastion, Identity, KnownHosts, Profile, Target, Timing};
pub use proto::Failure;
pub use refusal::Refusal;
pub use secret::Secret;
