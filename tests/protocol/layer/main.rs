//! The layer that speaks the protocol, shown with a small provider that does what it is asked, faults included.

mod answers;
mod debug;
mod end;
mod faults;
mod handshake;
mod lines;
mod resource;
mod sample;
