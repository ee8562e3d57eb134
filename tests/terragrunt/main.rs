//! The Terragrunt examples as users run them: real Terragrunt and OpenTofu, the real providers for Proxmox and Talos, ours.
//!
//! Needs what the lab builds; run by `cargo lab test real`. The etcd half boots hosts and needs root.

mod artifacts;
mod bgp;
mod bucket;
mod clusters;
mod credentials;
mod etcd;
mod guide;
mod imager;
mod layout;
mod modules;
mod networks;
mod overrides;
mod plans;
mod state;
mod tree;
mod values;
