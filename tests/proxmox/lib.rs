//! A server with the storage API of Proxmox VE, for tests: several nodes, storages of their own and
//! shared ones, TLS, tokens, tickets, permissions and tasks.
//!
//! It is exact where clients stumble: the one form of an upload that is taken, names that are
//! changed, tasks that fail after a good answer, files that are silently replaced, reasons that
//! stand in the status line only. Facts are from pve-storage 9.1, pve-http-server 6.0 and
//! pve-manager 9.1; `real/` shows with a real provider that it holds what they say.
//!
//! A [`Server`] is started in the process of the test, which looks at it and spoils it by its
//! methods. Absent: machines, containers, users' management, and of all else but files on storages everything except the
//! firewall of the cluster.

mod authentication;
mod certificate;
mod checksum;
mod cluster;
mod connection;
mod content;
mod download;
mod fault;
mod files;
mod firewall;
mod multipart;
mod name;
mod parameters;
mod privilege;
mod reply;
mod route;
mod server;
mod spec;
mod task;
mod upid;
mod upload;

pub use cluster::Seen;
pub use fault::{Effect, Fault, TaskEnd};
pub use files::Files;
pub use server::Server;
pub use spec::{Account, Grant, ROOT, ROOT_PASSWORD, ROOT_TOKEN, Spec, Storage, Token};
