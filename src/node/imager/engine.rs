//! The container engine of a host: which one, and the few words with which it is told what to do.
//!
//! docker and podman take the same words for all of this; what they print differs, and is judged
//! here only.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    place,
    process::{self, Call, Ran},
    request::{BuildId, Wish},
};
use crate::{
    failure::Failed,
    observe,
    program::{self, PATH},
    proto::{ProbeEngineResponse, failure::Kind},
    root::Root,
};

/// Without a daemon first: nothing has to be running.
const NAMES: [&str; 2] = ["podman", "docker"];

/// For questions. An engine whose store is locked by a pull answers late.
const QUESTION: Duration = Duration::from_mins(1);

/// Where `SELinux` shows itself, if it is on.
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// By these an engine finds its registry logins, its daemon and its way out. They are handed on as
/// whoever set the host up set them.
const KEPT_VARIABLES: [&str; 12] = [
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "REGISTRY_AUTH_FILE",
    "https_proxy",
    "no_proxy",
];

/// What the program really is: podman is often installed under docker's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Podman,
    Docker,
}

/// An engine that answers.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    /// As it was asked for.
    pub(super) name: &'static str,
    pub(super) version: String,
    pub(super) program: PathBuf,
    has_selinux: bool,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// How a run in a container ended, told by the engine's exit status.
enum Exit {
    Good,
    /// The engine could not start it (docker-run(1), "Exit Status").
    Engine,
    /// The program in the image cannot be started.
    Entry,
    Killed(i32),
    Failed(i32),
}

impl Exit {
    fn of(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Killed(signal),
            (None, Some(0)) => Self::Good,
            (None, Some(125)) => Self::Engine,
            (None, Some(126 | 127)) => Self::Entry,
            // Both engines report a signal in the container as 128 and its number.
            (None, Some(code @ 129..=192)) => Self::Killed(code - 128),
            (None, code) => Self::Failed(code.unwrap_or(-1)),
        }
    }
}

/// Answers which engine builds would use. Must be called from a thread for blocking work.
pub(crate) fn probe(root: &Root, wanted: &str) -> Result<ProbeEngineResponse, Failed> {
    let engine = find(root, wanted)?;
    Ok(ProbeEngineResponse {
        engine: engine.name.to_owned(),
        version: engine.version,
        path: engine.program.display().to_string(),
        free_bytes: observe::free_bytes(&root.at(place::DIRECTORY)),
    })
}

/// The engine of that name, or the first that can be used.
pub(super) fn find(root: &Root, wanted: &str) -> Result<Engine, Failed> {
    if wanted.is_empty() {
        let mut reasons = Vec::new();
        for name in NAMES {
            match Engine::ask(root, name) {
                Ok(engine) => return Ok(engine),
                Err(failed) => reasons.push(failed),
            }
        }
        return Err(of_all(reasons));
    }
    match NAMES.into_iter().find(|name| *name == wanted) {
        Some(name) => Engine::ask(root, name),
        None => Err(Failed::invalid(
            wanted,
            format!("{wanted:?} is neither podman nor docker"),
        )),
    }
}

/// Why none can be used: one that is installed and does not work is more to the point.
fn of_all(mut reasons: Vec<Failed>) -> Failed {
    let installed = reasons
        .iter()
        .position(|failed| !failed.0.output.is_empty());
    match installed {
        Some(at) => reasons.swap_remove(at),
        None => Failed::new(
            Kind::EngineUnavailable,
            NAMES.join(", "),
            "neither podman nor docker is installed",
        )
        .hint("Install podman (`apt-get install podman` or `dnf install podman`), or name another build host."),
    }
}

impl Engine {
    fn ask(root: &Root, name: &'static str) -> Result<Self, Failed> {
        let Some(program) = locate(root, name) else {
            return Err(Failed::new(
                Kind::EngineUnavailable,
                name,
                format!("{name} is not installed"),
            )
            .hint(format!("Install {name}, or name the engine that is there.")));
        };
        let mut engine = Self {
            name,
            version: String::new(),
            program,
            has_selinux: root.at(SELINUX).is_file(),
        };
        let about = engine
            .question(&["--version"])
            .map_err(|failed| engine.unusable(&failed))?;
        let make = if about.to_lowercase().contains("podman") {
            Make::Podman
        } else {
            Make::Docker
        };
        let words: &[&str] = match make {
            // Opens its store, as a run would.
            Make::Podman => &["info", "--format", "{{.Version.Version}}"],
            // Asks its daemon.
            Make::Docker => &["version", "--format", "{{.Server.Version}}"],
        };
        let version = engine
            .question(words)
            .map_err(|failed| engine.unusable(&failed))?;
        version.trim().clone_into(&mut engine.version);
        Ok(engine)
    }

    /// Why an engine that is installed cannot be used, with what helps.
    fn unusable(&self, failed: &Failed) -> Failed {
        let name = self.name;
        let said = failed.0.output.join("\n");
        let lower = said.to_lowercase();
        let is = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let (why, hint) = if is(&["permission denied", "operation not permitted"]) {
            (
                "may not be used by this user",
                "Let the SSH user become root by sudo without a password, or log in as root."
                    .to_owned(),
            )
        } else if is(&[
            "cannot connect to the docker daemon",
            "daemon running",
            "connection refused",
        ]) {
            (
                "is installed, but its daemon does not run",
                format!("Start it on the build host: `systemctl enable --now {name}`."),
            )
        } else if failed.0.kind() == Kind::Deadline {
            (
                "does not answer",
                format!("Look why `{name} info` hangs on the build host."),
            )
        } else {
            (
                "is installed, but does not work",
                format!("See what `{name} info` says on the build host."),
            )
        };
        let mut reason = Failed::new(
            Kind::EngineUnavailable,
            self.program.display().to_string(),
            format!("{name} {why}"),
        )
        .hint(hint)
        .output(&said);
        if reason.0.output.is_empty() {
            reason = reason.output(&failed.0.message);
        }
        reason
    }

    fn question(&self, words: &[&str]) -> Result<String, Failed> {
        let program = self.program.display().to_string();
        let environment = environment();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        program::run_with(&program, words, &environment, QUESTION)
    }

    /// What the engine calls an image by its content; `None` if it does not have it.
    pub(super) fn image_id(&self, image: &str) -> Result<Option<String>, Failed> {
        let words = ["image", "inspect", "--format", "{{.Id}}", image];
        self.question(&words)
            .map(|id| Some(id.trim().trim_start_matches("sha256:").to_owned()))
            .or_else(|failed| {
                is_about_absence(&failed, image)
                    .then_some(None)
                    .ok_or(failed)
            })
    }

    /// Removes an image, unless somebody runs it.
    pub(super) fn remove_image(&self, image: &str) {
        // Another's container is no fault of the build's, and the image is that one's now.
        let _ = self.question(&["image", "rm", image]);
    }

    /// Gets an image from its registry, with the logins that the engine finds by itself.
    pub(super) fn pull(
        &self,
        image: &str,
        until: Instant,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), Failed> {
        let ran = self.run(
            &["pull".to_owned(), image.to_owned()],
            &[],
            true,
            until,
            on_line,
        )?;
        let failed =
            |kind, message: String| Err(Failed::new(kind, image, message).output(&ran.text()));
        let Some(status) = ran.status else {
            return failed(Kind::Deadline, format!("pulling {image} took too long"));
        };
        match Exit::of(status) {
            Exit::Good => Ok(()),
            Exit::Killed(signal) => failed(
                Kind::Killed,
                format!("pulling {image} was ended by signal {signal}"),
            ),
            _ if is_full(&ran) => failed(
                Kind::DiskFull,
                format!("{} has no room for {image}", self.name),
            )
            .map_err(|failed| failed.hint("Make room on the file system of the engine's store.")),
            _ => failed(Kind::PullFailed, format!("{} cannot pull {image}", self.name)).map_err(
                |failed| {
                    failed.hint(format!(
                        "Check the reference, the build host's way to the registry, and its login there (`{} login`).",
                        self.name
                    ))
                },
            ),
        }
    }

    /// Runs the builder with `out` as its /out, to the end.
    pub(super) fn build(
        &self,
        wish: &Wish,
        out: &Path,
        until: Instant,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), Failed> {
        let arguments = self.build_arguments(wish, out);
        let ran = self.run(&arguments, &wish.input, false, until, on_line)?;
        let image = &wish.image;
        let failed = |kind, message: String| Failed::new(kind, image, message).output(&ran.text());
        let Some(status) = ran.status else {
            let minutes = wish.limit.as_secs().div_ceil(60);
            return Err(failed(
                Kind::Deadline,
                format!("building with {image} took over {minutes} minutes and was ended"),
            )
            .hint(
                "See in the last lines what it was doing; a longer limit is set by `timeouts`.",
            ));
        };
        Err(match Exit::of(status) {
            Exit::Good => return Ok(()),
            Exit::Killed(signal) => failed(
                Kind::Killed,
                format!("building with {image} was ended by signal {signal}"),
            )
            .hint("Signal 9 is often the kernel's for want of memory: see `dmesg` on the build host. Apply again to build anew."),
            _ if is_full(&ran) => failed(
                Kind::DiskFull,
                format!("building with {image} filled the disk"),
            )
            .hint(format!("Make room on the file systems of {} and of {}.", place::DIRECTORY, self.name)),
            Exit::Engine => failed(
                Kind::ProgramFailed,
                format!("{self} could not start a container of {image}"),
            )
            .hint(format!("See whether `{} run --rm {image} --help` works on the build host.", self.name)),
            Exit::Entry => failed(
                Kind::BuildFailed,
                format!("{image} holds no program that can be started here"),
            )
            .hint("Check that the image is an imager, and of the build host's architecture."),
            Exit::Failed(code) => failed(
                Kind::BuildFailed,
                format!("building with {image} failed with status {code}"),
            ),
        })
    }

    /// Words for a container that sees /out, the layouts and nothing else of the host.
    fn build_arguments(&self, wish: &Wish, out: &Path) -> Vec<String> {
        let mut words = vec![
            "run".to_owned(),
            "--rm".to_owned(),
            "--name".to_owned(),
            wish.id.container(),
            // Pulled before: so one failure is told from the other.
            "--pull=never".to_owned(),
        ];
        if !wish.input.is_empty() {
            words.push("--interactive".to_owned());
        }
        if self.has_selinux {
            // Labels are not changed on what is not ours, such as the layouts.
            words.push("--security-opt=label=disable".to_owned());
        }
        let mut mount = |value: String| words.extend(["-v".to_owned(), value]);
        mount(format!("{}:/out", out.display()));
        for layout in &wish.layouts {
            let (path, name) = (layout.path.display(), &layout.name);
            mount(format!("{path}:/layouts/{name}:ro"));
        }
        if wish.privileged {
            mount("/dev:/dev".to_owned());
            words.push("--privileged".to_owned());
        }
        words.push(wish.image.clone());
        words.extend(wish.arguments.iter().cloned());
        words
    }

    /// Ends and removes the container of a build, if there is one.
    pub(super) fn remove_container(&self, id: &BuildId) -> Result<(), Failed> {
        let name = id.container();
        if !self.has_container(&name)? {
            return Ok(());
        }
        // Removing alone lets it finish what it does first (podman waits ten seconds). One that has
        // ended cannot be killed.
        let _ = self.question(&["kill", &name]);
        let removed = self.question(&["rm", "--force", &name]);
        match self.has_container(&name) {
            Ok(false) => Ok(()),
            _ => Err(removed.err().unwrap_or_else(|| {
                Failed::new(
                    Kind::ProgramFailed,
                    &name,
                    format!("{self} does not remove the container {name}"),
                )
            })),
        }
    }

    fn has_container(&self, name: &str) -> Result<bool, Failed> {
        let words = ["container", "inspect", "--format", "{{.Id}}", name];
        match self.question(&words) {
            Ok(_) => Ok(true),
            Err(failed) if is_about_absence(&failed, name) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    fn run(
        &self,
        arguments: &[String],
        input: &[u8],
        hears_output: bool,
        until: Instant,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Ran, Failed> {
        let mut environment = environment();
        environment.push(("PATH".to_owned(), PATH.to_owned()));
        environment.push(("LC_ALL".to_owned(), "C".to_owned()));
        let call = Call {
            program: &self.program,
            arguments,
            environment: &environment,
            input,
            hears_output,
            until,
        };
        process::run(&call, on_line).map_err(|error| Failed::io("starting", &self.program, &error))
    }
}

fn locate(root: &Root, name: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|directory| root.at(&format!("{directory}/{name}")))
        .find(|path| path.is_file())
}

fn environment() -> Vec<(String, String)> {
    let kept = KEPT_VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?)));
    // Not sudo's idea of it: root's logins are in root's home.
    std::iter::once(("HOME".to_owned(), "/root".to_owned()))
        .chain(kept)
        .collect()
}

/// The engine says that it does not have `name`, and not that something else is missing.
fn is_about_absence(failed: &Failed, name: &str) -> bool {
    let name = name.to_lowercase();
    failed.0.kind() == Kind::ProgramFailed
        && failed.0.output.iter().any(|line| {
            let line = line.to_lowercase();
            line.contains(&name)
                && ["no such", "not known", "not found"]
                    .iter()
                    .any(|words| line.contains(words))
        })
}

fn is_full(ran: &Ran) -> bool {
    ran.last
        .iter()
        .any(|line| line.to_lowercase().contains("no space left on device"))
}
