//! The CA on this host: made once, asked to sign, with a register of who has certificates from it.

mod client;
mod configuration;
mod initialise;
mod pair;
mod protection;
mod register;
mod request;
mod sign;
mod token;

pub(crate) use client::{client, loopback};
pub(crate) use configuration::Configuration;
pub(crate) use initialise::initialise;
pub(crate) use pair::lost;
pub(crate) use protection::exposed;
pub(crate) use register::{Register, forget};
pub(crate) use sign::{Signed, sign};

/// The root certificate below the directory of a CA.
pub(crate) const ROOT: &str = "certs/root_ca.crt";
/// The intermediate certificate, which signs.
pub(crate) const INTERMEDIATE: &str = "certs/intermediate_ca.crt";
/// What step-ca reads.
pub(crate) const CONFIGURATION: &str = "config/ca.json";
/// The provisioner's private key; step-ca itself never needs it.
pub(crate) const PROVISIONER_KEY: &str = "secrets/provisioner_key";
