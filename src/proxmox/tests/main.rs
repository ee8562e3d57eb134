//! The client against a server with the API of Proxmox VE, faults included.

mod broken;
mod distribution;
mod downloads;
mod login;
mod memory;
mod permissions;
mod reading;
mod support;
mod tasks;
mod trust;
mod uploads;
