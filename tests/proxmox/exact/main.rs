//! What the server does at the points where clients of Proxmox VE stumble, byte for byte.

mod form;
mod raw;
mod refusals;
