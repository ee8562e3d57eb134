//! Images made by a builder in a container: once for each hash of what they are made from, whoever
//! asks, and kept until somebody removes them or newer ones push them out.
//!
//! A build is a cache, found by the hash of its inputs: it has no owner in the ledger, because no
//! resource needs it on this host once it was read. What lies below `/var/lib/etcd-node/builds` is
//! ours by its place alone. Images of builders that had to be pulled go with the builds.

mod build;
mod claim;
mod engine;
mod event;
mod keep;
mod line;
mod percent;
mod place;
mod process;
mod pulled;
mod read;
mod request;

pub(crate) use build::build;
pub(crate) use claim::Claims;
pub(crate) use engine::probe;
pub(crate) use event::{Events, Stream};
pub(crate) use keep::{all, any, remove};
pub(crate) use read::{Chunks, read};

#[cfg(test)]
mod fake_engine;
#[cfg(test)]
mod tests;
