//! `cargo lab`: the one entry for demo, tests and bench, and a tool for people.

#![expect(
    clippy::print_stderr,
    reason = "a command line tool says on its standard error what failed"
)]

mod arguments;
mod status;

use std::error::Error;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Action, Arguments, Up};
use lab::program::Program;
use lab::provider::{self, Cli, Provider};
use lab::stage::{self, Stage};
use lab::{
    Home, Host, Lab, Spec, archive, bench, demo, lab as labs, prerequisite, progress, repository,
    upstream,
};

/// A line for whoever reads; he may have seen enough and be gone.
macro_rules! say {
    ($($words:tt)*) => {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stdout(),
            format_args!("{}\n", format_args!($($words)*)),
        );
    };
}

pub(crate) use say;

type Outcome = Result<ExitCode, Box<dyn Error>>;

fn main() -> ExitCode {
    progress::start();
    match run(Arguments::parse().action) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Outcome {
    prerequisite::root()?;
    let home = Home::open()?;
    match action {
        Action::Demo { destroy: true } => done(demo::destroy(&home)),
        Action::Demo { destroy: false } => show_demo(&home),
        Action::Bench { runs } => {
            let text = bench::markdown(&bench::run(&home, runs.into())?);
            say!("{text}");
            std::fs::write(repository::root().join("docs/performance.md"), text)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Provider => {
            let provider = Provider::ensure(&home)?;
            say!("{}", serde_json::to_string_pretty(&provider)?);
            Ok(ExitCode::SUCCESS)
        }
        Action::Test { stages } => test(&home, &stages),
        Action::Tofu { arguments } => cli(&home, Cli::Tofu, &arguments),
        Action::Terraform { arguments } => cli(&home, Cli::Terraform, &arguments),
        Action::Terragrunt { arguments } => cli(&home, Cli::Terragrunt, &arguments),
        Action::Up(wish) => up(&home, &wish),
        Action::Down { lab, all } => down(&home, &lab, all),
        Action::Programs { names } => programs(&home, &names),
        Action::Status { lab, json } => status::print(&home, lab.as_deref(), json),
        Action::Ssh { target, command } => {
            let lab = Lab::open(&home, &target.lab)?;
            let mut ssh = lab.host(&target.host)?.ssh();
            // A person types into it.
            ssh.stdin(std::process::Stdio::inherit());
            Err(ssh.args(command).exec().into())
        }
        Action::Root { target, command } => on(&home, &target, |host| {
            let argv: Vec<&str> = command.iter().map(String::as_str).collect();
            let output = host.root(&argv)?;
            std::io::stdout().write_all(&output.stdout)?;
            std::io::stderr().write_all(&output.stderr)?;
            let code = output
                .status
                .code()
                .and_then(|code| u8::try_from(code).ok());
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }),
        Action::PowerOff { target } => on(&home, &target, |host| done(host.kill())),
        Action::Boot { target } => on(&home, &target, |host| done(host.boot())),
        Action::Reboot { target } => on(&home, &target, |host| done(host.reboot())),
        Action::Cut { target } => on(&home, &target, |host| done(host.cut_network())),
        Action::Join { target } => on(&home, &target, |host| done(host.join_network())),
        Action::Fill { target, free } => on(&home, &target, |host| done(host.fill_disk(free))),
        Action::Free { target } => on(&home, &target, |host| done(host.free_disk())),
    }
}

fn on(home: &Home, target: &arguments::Target, act: impl FnOnce(&Host) -> Outcome) -> Outcome {
    act(Lab::open(home, &target.lab)?.host(&target.host)?)
}

fn done<E: Error + 'static>(result: Result<(), E>) -> Outcome {
    result?;
    Ok(ExitCode::SUCCESS)
}

fn up(home: &Home, wish: &Up) -> Outcome {
    prerequisite::for_hosts(home)?;
    let hosts = wish.specs();
    let lab = Lab::up(
        home,
        &Spec {
            name: wish.lab.clone(),
            hosts,
            is_ephemeral: false,
        },
    )?;
    status::print(home, Some(lab.name()), wish.json)?;
    if !wish.json {
        let name = lab.name();
        say!("\nLook around: cargo lab ssh --lab {name} 1");
        say!("Remove:      cargo lab down --lab {name}");
    }
    Ok(ExitCode::SUCCESS)
}

fn down(home: &Home, lab: &str, all: bool) -> Outcome {
    labs::sweep(home)?;
    let names = if all {
        Lab::names(home)?
    } else {
        vec![lab.to_owned()]
    };
    for name in names {
        Lab::open(home, &name)?.down()?;
        progress::say(&format!("lab {name} is removed"));
    }
    Ok(ExitCode::SUCCESS)
}

fn show_demo(home: &Home) -> Outcome {
    let demo = demo::make(home)?;
    for table in &demo.tables {
        say!("\n{table}");
    }
    say!("\nHosts");
    status::print_hosts(&demo.lab);
    say!("\nTimes");
    for (what, time) in &demo.times {
        say!("  {what:<36} {:>7.1} s", time.as_secs_f64());
    }
    say!("\nLook around");
    say!("  cargo lab ssh 1                               a shell on the first host");
    say!("  cargo lab root 2 journalctl -u 'etcd-demo-*'  what a member says");
    say!("  cargo lab power-off 3; cargo lab boot 3       a power failure and its end");
    say!("  cd {} && cargo lab tofu plan", demo.directory.display());
    say!("Remove it all\n  cargo lab demo --destroy");
    Ok(ExitCode::SUCCESS)
}

/// Becomes the CLI, in the current directory.
fn cli(home: &Home, cli: Cli, arguments: &[String]) -> Outcome {
    let provider = Provider::ensure(home)?;
    let directory = std::env::current_dir()?;
    let is_init = arguments.iter().any(|argument| argument == "init");
    if is_init || cli == Cli::Terragrunt {
        // Terragrunt initialises by itself, with whatever command.
        upstream::ensure(home)?;
    }
    if is_init && cli == Cli::Terragrunt {
        provider::forget_locks_below(&directory)?;
    } else if is_init {
        let changed = arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("-chdir="));
        provider::forget_lock(
            &changed.map_or_else(|| directory.clone(), |inner| directory.join(inner)),
        )?;
    }
    let mut command = provider.command(home, cli, &directory)?;
    command
        .args(arguments)
        .stdin(std::process::Stdio::inherit());
    Err(command.exec().into())
}

/// Builds the programs of these names, or all and their archives; prints where they are.
fn programs(home: &Home, names: &[String]) -> Outcome {
    let mut chosen = Vec::new();
    for name in names {
        chosen.extend(Program::named(name)?);
    }
    if names.is_empty() {
        chosen = Program::all()?;
    }
    for program in chosen {
        say!("{}", program.ensure(home)?.display());
    }
    if names.is_empty() {
        say!("{}", archive::ensure(home)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn test(home: &Home, names: &[String]) -> Outcome {
    let reports = stage::run(home, &Stage::named(names)?);
    say!("\n{:<13} {:>7}  result", "stage", "time");
    for report in &reports {
        let result = report.failure.as_ref().map_or_else(
            || "ok".to_owned(),
            |failure| format!("FAILED: {}", chain(failure)),
        );
        say!(
            "{:<13} {:>5} s  {result}",
            report.stage.name(),
            report.time.as_secs()
        );
        for line in &report.closing_lines {
            say!("{:<13} {:>7}  {line}", "", "");
        }
    }
    let failed: Vec<_> = reports
        .iter()
        .filter(|report| report.failure.is_some())
        .map(|report| report.stage.name())
        .collect();
    if failed.is_empty() {
        say!("all stages passed");
        return Ok(ExitCode::SUCCESS);
    }
    say!("FAILED: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
