//! The helper with the real programs on real hosts, spoken to over pipes as the provider does.
//!
//! Needs root, the lab, its release archives and a built helper named by `ETCD_NODE_PATH`:
//! `cargo lab test real` brings them along. Fails without them. Each test has a host of its own.

mod authority;
mod builder;
mod etcd;
mod imaging;
mod issuing;
mod laying;
mod member;
mod release;
mod renewal;
mod station;

/// Messages and client of the helper's interface, as the provider has them.
#[expect(
    unnameable_types,
    unused_qualifications,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated; the comments are in proto/node.proto"
)]
mod proto {
    include!("../../../host/gen/node.rs");
}
