//! Terraform plugin protocol 5 for providers written in Rust.
