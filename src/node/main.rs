//! `etcd-node`: serves one provider over standard input and output, renews certificates for timers,
//! and tells a person what is on the host.

use std::{
    io::{self, Write},
    process::ExitCode,
};

const USAGE: &str = "\
etcd-node, the helper of terraform-provider-etcd on this host

  etcd-node status         what was made here, and how it is
  etcd-node renew --certificate FILE --key FILE --issuer FILE [--force]
                           renew a certificate if two thirds of its life are over
  etcd-node leave OWNER ID take a resource of status off this host, and keep its data aside
  etcd-node serve NONCE    speak with the provider on standard input and output
  etcd-node --version      print the version
";

/// The sources are what the build of a provider looks for in the helper that it takes.
const VERSION: &str = concat!(
    "etcd-node ",
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("ETCD_NODE_SOURCES"),
    ")\n"
);

/// `EX_USAGE` of sysexits(3).
const WRONG_USE: u8 = 64;

enum Command<'a> {
    Status,
    Leave {
        owner: &'a str,
        id: &'a str,
    },
    Serve(&'a str),
    Renew {
        certificate: &'a str,
        key: &'a str,
        issuer: &'a str,
        force: bool,
    },
    Version,
    Help,
}

fn parse<'a>(words: &[&'a str]) -> Result<Command<'a>, String> {
    match words {
        ["status"] => Ok(Command::Status),
        ["leave", owner, id] => Ok(Command::Leave { owner, id }),
        ["serve", nonce] => Ok(Command::Serve(nonce)),
        ["renew", options @ ..] => parse_renewal(options),
        ["--version" | "-V"] => Ok(Command::Version),
        ["--help" | "-h" | "help"] | [] => Ok(Command::Help),
        [first, ..] => Err(format!(
            "{first} is not a command, or has too many or too few words"
        )),
    }
}

fn parse_renewal<'a>(options: &[&'a str]) -> Result<Command<'a>, String> {
    let (mut certificate, mut key, mut issuer, mut force) = (None, None, None, false);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let place = match *option {
            "--certificate" => &mut certificate,
            "--key" => &mut key,
            "--issuer" => &mut issuer,
            "--force" => {
                force = true;
                continue;
            }
            other => return Err(format!("{other} is not an option of renew")),
        };
        *place = Some(
            *rest
                .next()
                .ok_or_else(|| format!("{option} needs a file"))?,
        );
    }
    match (certificate, key, issuer) {
        (Some(certificate), Some(key), Some(issuer)) => Ok(Command::Renew {
            certificate,
            key,
            issuer,
            force,
        }),
        _ => Err("renew needs --certificate, --key and --issuer".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let command = match parse(&words) {
        Ok(Command::Help) => return answer(Ok(USAGE.to_owned())),
        Ok(Command::Version) => {
            return answer(Ok(VERSION.to_owned()));
        }
        Ok(command) => command,
        Err(why) => {
            complain(&format!("{why}\n\n{USAGE}"));
            return ExitCode::from(WRONG_USE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return answer(Err(format!("no runtime: {error}"))),
    };
    let result = runtime.block_on(run(command));
    // A thread that still reads standard input must not keep the process alive.
    runtime.shutdown_background();
    answer(result)
}

async fn run(command: Command<'_>) -> Result<String, String> {
    match command {
        Command::Serve(nonce) => node::serve(nonce)
            .await
            .map(|()| String::new())
            .map_err(|error| error.to_string()),
        Command::Renew {
            certificate,
            key,
            issuer,
            force,
        } => node::renew(certificate, key, issuer, force).await,
        Command::Status => tokio::task::spawn_blocking(node::status)
            .await
            .unwrap_or_else(|error| Err(error.to_string())),
        Command::Leave { owner, id } => {
            let (owner, id) = (owner.to_owned(), id.to_owned());
            tokio::task::spawn_blocking(move || node::leave(&owner, &id))
                .await
                .unwrap_or_else(|error| Err(error.to_string()))
        }
        Command::Version | Command::Help => Ok(String::new()),
    }
}

fn answer(result: Result<String, String>) -> ExitCode {
    match result {
        // Whoever reads may have seen enough.
        Ok(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn complain(why: &str) {
    let _ = writeln!(io::stderr(), "etcd-node: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_takes_its_options_in_any_order_and_no_others() {
        let good = [
            "renew",
            "--force",
            "--key",
            "k",
            "--issuer",
            "i",
            "--certificate",
            "c",
        ];
        assert!(matches!(
            parse(&good),
            Ok(Command::Renew {
                certificate: "c",
                key: "k",
                issuer: "i",
                force: true
            })
        ));
        for bad in [
            &["renew", "--key", "k"][..],
            &["renew", "--key"],
            &[
                "renew",
                "--certificate",
                "c",
                "--key",
                "k",
                "--issuer",
                "i",
                "--fast",
            ],
            &["serve"],
            &["serve", "a", "b"],
            &["leave", "etcd_cluster/k8s"],
            &["remove"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
