//! Desired and observed state to a plan.
//!
//! Everything here is pure: the same input gives the same plan, on every machine, at any time. What
//! a plan needs to know of the world comes in as facts; what it wants done goes out as data that can
//! be printed, compared and checked.
//!
//! It must never do I/O, read a clock, draw randomness, log, or be async.

mod access;
pub mod address;
mod drop_in;
pub mod duration;
pub mod etcd_cluster;
pub mod etcd_step_ca;
pub mod facts;
pub mod issuer;
pub mod name;
pub mod near;
pub mod node;
pub mod problem;
mod program;
pub mod rendered;
pub mod space;
mod steady;
mod stored;
pub mod talos_artifact;
pub mod version;
