//! Talos images as users get them: real CLIs, the real Image Factory and registry, and a server with the storage API of
//! Proxmox VE.
//!
//! Needs the lab's programs; run by `cargo lab test real`.

mod builders;
mod builds;
mod elsewhere;
mod faults;
mod formats;
mod imager;
mod killed;
mod lives;
mod logins;
mod refusals;
mod saved;
mod scene;
mod secrets;
mod sharing;
mod turns;
mod wishes;
mod workshop;
