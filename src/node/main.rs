//! `etcd-node`: serves one provider over standard input and output, renews certificates for timers,
//! and tells a person what is on the host.

use std::process::ExitCode;

const USAGE: &str = "\
etcd-node, the helper of terraform-provider-etcd on this host

  etcd-node serve NONCE    speak with the provider on standard input and output
  etcd-node renew --certificate FILE --key FILE --issuer FILE [--force]
                           renew a certificate if two thirds of its life are over
  etcd-node --version      print the version
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let work = async {
        match words.as_slice() {
            ["serve", nonce] => node::serve(nonce).await.map_err(|error| error.to_string()),
            ["renew", options @ ..] => renew(options).await,
            ["--version"] => {
                print(&format!("etcd-node {}\n", env!("CARGO_PKG_VERSION")));
                Ok(())
            }
            _ => {
                print(USAGE);
                Ok(())
            }
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let result = runtime.block_on(work);
    // A thread that still reads standard input must not keep the process alive.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

async fn renew(options: &[&str]) -> Result<(), String> {
    let value = |name: &str| {
        options
            .iter()
            .position(|option| *option == name)
            .and_then(|at| options.get(at + 1))
            .ok_or_else(|| format!("{name} is missing\n\n{USAGE}"))
    };
    let force = options.contains(&"--force");
    let (outcome, certificate) = node::renew::renew(
        value("--certificate")?,
        value("--key")?,
        value("--issuer")?,
        force,
    )
    .await
    .map_err(|failed| format!("{failed}. {}", failed.0.hint))?;
    if outcome == node::proto::Outcome::Updated {
        print(&format!("renewed {}\n", certificate.path));
    }
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "it answers a person or a journal there"
)]
fn print(text: &str) {
    print!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "there is no other way to tell whoever started us"
)]
fn fail(text: &str) -> ExitCode {
    eprintln!("etcd-node: {text}");
    ExitCode::FAILURE
}
