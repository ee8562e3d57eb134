//! Terraform plugin protocol 5 for providers written in Rust.
//!
//! Speaks the handshake, mutual TLS, all calls of `tfplugin5` 5.10 and go-plugin's own services,
//! and translates between them and the traits in [`provider`]. It decides what is on the wire and
//! nothing of what a resource means.
//!
//! It must never know of etcd, SSH or Talos, open a network connection, or print anything to
//! standard output but the handshake line.

mod connection;
mod diagnostic;
pub mod docs;
mod fit;
mod handshake;
pub mod json;
mod listener;
mod log;
pub mod msgpack;
mod number;
mod path;
pub mod provider;
mod rpc;
mod schema;
mod server;
mod services;
mod tls;
mod types;
mod value;

#[allow(
    warnings,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/"
)]
#[rustfmt::skip]
#[path = "gen/tfplugin5.rs"]
pub mod tfplugin5;

#[allow(
    warnings,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/"
)]
#[rustfmt::skip]
#[path = "gen/plugin.rs"]
pub mod go_plugin;

#[allow(
    warnings,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/"
)]
#[rustfmt::skip]
#[path = "gen/health.rs"]
pub mod health;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use number::Number;
pub use path::Path;
pub use schema::{Attribute, Block, Mode, NestedBlock, Nesting, Schema};
pub use server::serve;
pub use types::{InvalidType, Object, Type};
pub use value::{Refinement, Value};
