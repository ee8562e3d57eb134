//! What runs on a host: files, units, certificates, etcd's API.
//!
//! One static program. The provider starts it over SSH and speaks gRPC with it on standard input
//! and output; timers run it to renew certificates; a person can ask it for the host's state.
//! It does what it is told, refuses to touch what the ledger does not own, and answers with facts.
//!
//! It must never decide what to do next, use SSH or the plugin protocol, or send a private key
//! anywhere.

mod account;
mod atomic;
mod busy;
mod ca;
mod certificate;
mod clock;
mod digest;
mod ensure;
mod failure;
mod imager;
mod install;
mod journal;
mod ledger;
mod lock;
mod log;
mod membership;
mod observe;
mod program;
mod record;
mod recorded;
mod remove;
mod renew;
mod root;
mod secret;
mod serve;
mod service;
mod status;
mod stdio;
#[cfg(test)]
mod test_host;
mod unit;

/// Messages and server of the helper's interface, generated from `proto/node.proto`.
#[expect(
    unused_qualifications,
    unreachable_pub,
    unnameable_types,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated; the comments are in proto/node.proto"
)]
mod proto {
    include!("gen/node.rs");
}

pub use remove::leave;
pub use renew::run as renew;
pub use serve::serve;
pub use status::status;
