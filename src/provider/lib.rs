//! Clusters and CAs as Terraform resources: reads configurations, looks at hosts, asks the planner
//! what is left to do, and has the helpers on the hosts do it.
//!
//! It decides nothing about safety or order of steps (the planner does), knows no byte of the wire
//! to Core (`tf-plugin`) or to a host (`host`), and writes no file on a host itself (`etcd-node`).

mod common;
mod context;
mod creation;
mod download;
mod etcd_cluster;
mod etcd_step_ca;
mod executor;
mod facts;
mod helper;
mod hosts;
mod http;
mod import;
mod in_state;
mod issuer;
mod life;
mod nodes;
mod programs;
mod provider;
mod report;
mod services;
mod session;
mod ssh;
mod talos_artifact;
mod timeouts;

pub use provider::EtcdProvider;
