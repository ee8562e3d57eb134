//! Real hosts and real programs for tests, demo and bench, as a library for tests and behind `cargo lab` for people.
//!
//! A host is a Debian root booted by systemd-nspawn: real systemd, real sshd, an address of its own on a bridge without
//! uplink. The programs (etcd, step-ca, tofu) are built from their pinned sources once and cached. The lab needs root on
//! a Debian-like Linux; it installs what is missing and removes what a killed run left, and touches nothing else.
//!
//! Absent: anything that knows what the provider does. The lab gives hosts and programs; the tests say what should be so.

pub mod archive;
pub mod base;
pub mod bench;
pub mod bridge;
pub mod build_host;
pub mod cgroup;
pub mod command;
pub mod credentials;
pub mod demo;
pub mod home;
pub mod host;
pub mod lab;
pub mod machine;
pub mod overlay;
mod package;
pub mod prerequisite;
pub mod process;
pub mod program;
pub mod progress;
pub mod provider;
pub mod record;
pub mod repository;
pub mod root;
pub mod spec;
pub mod stage;
pub mod target;
pub mod upstream;

pub use base::Release;
pub use bridge::Family;
pub use home::Home;
pub use host::Host;
pub use lab::Lab;
pub use spec::{Access, HostSpec, Spec};
