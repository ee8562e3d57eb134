//! The provider as users run it: real CLIs, real hosts, real etcd and step-ca.
//!
//! Needs root and boots hosts; run by `cargo lab test acceptance`.

mod bad_input;
mod builds;
mod downloads;
mod drift;
mod examples;
mod faults;
mod killed;
mod logins;
mod members;
mod names;
mod ownership;
mod programs;
mod quickstart;
mod rejoin;
mod renewal;
mod secrets;
mod sharing;
