//! Derives a Terraform schema and its codec from one struct.
