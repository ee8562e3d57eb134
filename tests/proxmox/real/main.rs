//! The real provider bpg/proxmox 0.80 and a real CLI against the server: what was written for
//! Proxmox VE itself works here, and meets here what it meets there.
//!
//! `PROXMOX_PROVIDER_PATH` names the provider's program, `ETCD_LAB_PROGRAMS` the directory in which
//! the CLI lies as `tofu-<version>-<hash>/bin/tofu`.

mod download;
mod lists;
mod site;
mod upload;
