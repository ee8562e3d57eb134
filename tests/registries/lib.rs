//! A real registry and a real image factory on this machine, for tests.
//!
//! Programs come from the directory that `ETCD_LAB_PROGRAMS` names, as `cargo lab test real` sets it. Everything listens
//! on loopback, waits for conditions and not for time, and ends when it is dropped.
//!
//! The factory cannot build images here: what it builds from weighs gigabytes. [`Factory`] therefore stands before the
//! real one and puts stand-ins where the real one would build; all else is the real one's own answer.

mod catalog;
mod cosign;
mod cut;
mod factory;
mod front;
mod http;
mod layout;
mod process;
mod registry_server;
mod stand_in;
mod token;

pub use catalog::{Catalog, Extension, Overlay, Release};
pub use cut::Cut;
pub use factory::Factory;
pub use front::{Fault, Front};
pub use layout::{Layer, docker_archive, layer, layout};
pub use registry_server::{Login, Options, PASSWORD, RegistryServer, USER};
pub use stand_in::StandIn;
pub use token::IDENTITY;
