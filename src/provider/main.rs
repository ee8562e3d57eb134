//! The plugin that Terraform and OpenTofu start.

use std::process::ExitCode;

/// Where the registries list it.
const ADDRESS: &str = "registry.opentofu.org/etcd-fleet/etcd";

#[expect(
    clippy::print_stdout,
    reason = "a person who asks for the version reads it there"
)]
fn main() -> ExitCode {
    if std::env::args().any(|argument| matches!(argument.as_str(), "--version" | "-version")) {
        println!("terraform-provider-etcd {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    tf_plugin::serve(provider::EtcdProvider::new(), ADDRESS)
}
