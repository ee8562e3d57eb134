//! What runs on a host: files, units, certificates, etcd's API.
//!
//! One static program. The provider starts it over SSH and speaks gRPC with it on standard input
//! and output; timers run it to renew certificates; a person can ask it for the host's state.
//! It does what it is told, refuses to touch what the ledger does not own, and answers with facts.
//!
//! It must never decide what to do next, use SSH or the plugin protocol, or send a private key
//! anywhere.

mod atomic;
mod ca;
mod certificate;
mod ensure;
mod failure;
mod install;
mod journal;
mod ledger;
mod lock;
mod membership;
mod observe;
mod remove;
pub mod renew;
mod serve;
mod system;
mod unit;

#[allow(
    warnings,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/"
)]
#[path = "gen/node.rs"]
pub mod proto;

pub use failure::Failed;
pub use serve::serve;
