//! What tests share: a site of real hosts, a working directory in which a CLI runs with the built provider, and a
//! Core of our own that speaks to a provider without any CLI.

pub mod client;
pub mod cluster;
pub mod desk;
pub mod footprint;
pub mod plugin;
pub mod site;

pub use desk::{Desk, Run};
pub use site::Site;

/// What a test gives back.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
