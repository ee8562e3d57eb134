//! What tests on real hosts share: a site of hosts and a working directory in which a CLI runs with the
//! built provider.

pub mod cluster;
pub mod footprint;
pub mod site;

pub use site::{Run, Site};

/// What a test gives back.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
