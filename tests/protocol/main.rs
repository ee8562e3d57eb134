//! The built provider, called as Core calls it, without any host; and a sample provider under real CLIs.
//!
//! `ETCD_PROVIDER_PATH` names the provider's program. What needs hosts is in `tests/acceptance`.

mod answers;
mod clis;
mod frozen;
mod lines;
mod plan;
mod process;
mod provider;
mod schema;
