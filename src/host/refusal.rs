//! Why a host did not start the helper, told from what it printed and how it ended.
//!
//! The only place that matches on texts of sudo, shells and coreutils. They are asked to speak
//! English (`LC_ALL=C`), and what is not recognised is shown as it is.

use std::fmt;

/// What kept the helper from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// sudo wants a password and none is configured.
    SudoPasswordNeeded,
    /// sudo did not take the configured password.
    SudoPasswordWrong,
    /// The user may not use sudo, or not for this.
    SudoNotAllowed,
    /// sudo wants a terminal.
    SudoRequiresTty,
    /// There is no sudo.
    SudoMissing,
    /// sudo is there and cannot become root.
    SudoBroken,
    /// Programs may not be run from /opt, or sudo keeps commands from running others.
    Noexec,
    /// /opt cannot be written.
    ReadOnly,
    /// The file system of /opt is full.
    DiskFull,
    /// One of the few programs that the start needs is not there.
    ToolMissing,
    /// What arrived is not what was sent.
    Corrupt,
    /// The helper is for another architecture.
    WrongArchitecture,
    /// The login shell is none, or the key is bound to a command.
    NoShell,
    /// The login shell does not understand the command line.
    StrangeShell,
    /// The server refuses to run commands.
    ExecRefused,
    /// The helper was killed before it spoke.
    Killed,
    /// The helper did not speak in time.
    Silent,
    /// More than 64 KiB were printed before the helper could speak.
    Chatty,
    /// It ended, and what it printed is not known to us.
    Unknown,
}

/// How the start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With an exit status.
    Exit(u32),
    /// By a signal.
    Signal,
    /// Without saying so.
    Closed,
}

impl Refusal {
    /// `text` is all that was printed on both streams, `gave_password` whether sudo got one.
    pub(crate) fn recognise(text: &str, end: End, user: &str, gave_password: bool) -> Self {
        let text = text.to_ascii_lowercase();
        let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        let is_root = user == "root";
        if has(&["etcd-node-fail-tool"]) {
            return Self::ToolMissing;
        }
        if has(&[
            "etcd-node-fail-sum",
            "unexpected end of file",
            "not in gzip format",
            "crc error",
        ]) && !has(&["no space left", "disk quota exceeded"])
        {
            return Self::Corrupt;
        }
        if !is_root {
            if has(&[
                "must have a tty to run sudo",
                "a terminal is required to read the password",
            ]) {
                // The second is what sudo says when it may not read from stdin: a password is needed.
                return if has(&["must have a tty"]) {
                    Self::SudoRequiresTty
                } else {
                    Self::SudoPasswordNeeded
                };
            }
            if has(&[
                "sorry, try again",
                "incorrect password attempt",
                "authentication failed, try again",
                "maximum 3 incorrect",
            ]) {
                return Self::SudoPasswordWrong;
            }
            if has(&[
                "is not in the sudoers file",
                "is not allowed to execute",
                "may not run sudo",
                "i'm sorry",
                "not allowed to run sudo",
                "interactive authentication is required",
            ]) {
                return if has(&["interactive authentication is required"]) {
                    Self::SudoPasswordNeeded
                } else {
                    Self::SudoNotAllowed
                };
            }
            if has(&["a password is required", "no password was provided"]) {
                return if gave_password {
                    Self::SudoPasswordWrong
                } else {
                    Self::SudoPasswordNeeded
                };
            }
            if has(&[
                "sudo: not found",
                "sudo: command not found",
                "‘sudo’: no such file",
                "'sudo': no such file",
                "can't execute 'sudo'",
                "unknown command: sudo",
                "sudo: no such file",
            ]) {
                return Self::SudoMissing;
            }
            if has(&[
                "effective uid is not 0",
                "no new privileges",
                "must be setuid root",
                "must be owned by uid 0",
                "sudoers: syntax error",
                "no valid sudoers sources",
            ]) {
                return Self::SudoBroken;
            }
        }
        if has(&["no space left on device", "disk quota exceeded"]) {
            return Self::DiskFull;
        }
        if has(&["read-only file system"]) {
            return Self::ReadOnly;
        }
        if has(&[
            "exec format error",
            "syntax error: word unexpected",
            "cannot execute binary file",
        ]) {
            return Self::WrongArchitecture;
        }
        if has(&["permission denied", "operation not permitted"])
            && (end == End::Exit(126) || has(&["/opt/etcd-node/cache", "cannot execute"]))
        {
            return Self::Noexec;
        }
        if has(&[
            "account is currently not available",
            "this account is not available",
            "/nologin",
            "not allowed to log in",
            "shell access is disabled",
            "administratively prohibited",
            "does not provide shell access",
        ]) {
            return Self::NoShell;
        }
        match end {
            End::Signal | End::Exit(129..=192) => Self::Killed,
            // What nologin(8), false(1) and a command bound to a key have in common: they end
            // without a word of a shell about our script.
            End::Exit(0 | 1) if !has(&["sh:", "sh ", "syntax", "etcd-node"]) => Self::NoShell,
            End::Exit(_)
                if has(&[
                    "syntax error",
                    "unmatched",
                    "parse error",
                    "unexpected token",
                    "missing end",
                ]) =>
            {
                Self::StrangeShell
            }
            End::Exit(_) | End::Closed => Self::Unknown,
        }
    }

    /// Whether trying again soon can help by itself.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Killed | Self::Corrupt)
    }

    /// Whether a helper that was damaged in the cache could look so.
    pub(crate) fn may_be_damage(self) -> bool {
        matches!(
            self,
            Self::Noexec
                | Self::WrongArchitecture
                | Self::NoShell
                | Self::StrangeShell
                | Self::Killed
                | Self::Unknown
        )
    }

    pub(crate) fn holds(self, host: &str) -> String {
        match self {
            Self::Noexec | Self::WrongArchitecture | Self::Killed | Self::Silent => format!(
                "At most the helper was put below /opt/etcd-node/cache on {host}; nothing else was changed."
            ),
            Self::DiskFull | Self::Corrupt => {
                format!(
                    "What was sent of the helper was removed again; nothing was changed on {host}."
                )
            }
            _ => format!("Nothing was changed on {host}."),
        }
    }

    pub(crate) fn hint(self, host: &str, user: &str) -> String {
        match self {
            Self::SudoPasswordNeeded => format!(
                "set sudo_password, or let {user} use sudo without one: put \"{user} ALL=(root) NOPASSWD: ALL\" into /etc/sudoers.d/ on {host}."
            ),
            Self::SudoPasswordWrong => {
                format!("correct the sudo password of {user} in the configuration.")
            }
            Self::SudoNotAllowed => format!(
                "put \"{user} ALL=(root) NOPASSWD: ALL\" into a file in /etc/sudoers.d/ on {host} (visudo -f), or log in as root."
            ),
            Self::SudoRequiresTty => format!(
                "put \"Defaults:{user} !requiretty\" into a file in /etc/sudoers.d/ on {host} (visudo -f)."
            ),
            Self::SudoMissing => format!("install sudo on {host}, or log in as root."),
            Self::SudoBroken => format!(
                "mend sudo on {host}: it must be owned by root with the setuid bit, on a file system without nosuid, and its sudoers files must be valid (visudo -c)."
            ),
            Self::Noexec => format!(
                "mount the file system of /opt on {host} without noexec; if it is not noexec, take the NOEXEC tag from the sudoers line of {user}, and see that no security module forbids it."
            ),
            Self::ReadOnly => {
                format!("make /opt on {host} writable; the helper is kept in /opt/etcd-node.")
            }
            Self::DiskFull => format!("free at least 64 MiB on the file system of /opt on {host}."),
            Self::ToolMissing => {
                format!("install the named program on {host}; coreutils and gzip have them all.")
            }
            Self::Corrupt => {
                "try again; if it repeats, something between here and there changes the data."
                    .to_owned()
            }
            Self::WrongArchitecture => {
                "use a build of the provider whose helper is for the architecture of the host."
                    .to_owned()
            }
            Self::NoShell => format!(
                "give {user} a login shell on {host}, and see that the key is not bound to a command (command= in authorized_keys, ForceCommand in sshd_config)."
            ),
            Self::StrangeShell => {
                format!("give {user} a POSIX shell, csh or fish as login shell on {host}.")
            }
            Self::ExecRefused => format!(
                "see that sshd on {host} lets {user} run commands (ForceCommand, restrict, no-session options)."
            ),
            Self::Killed => format!("see the journal of {host}: it may be out of memory."),
            Self::Silent => format!(
                "see the load of {host}, and whether something in the login scripts of {user} waits for input."
            ),
            Self::Chatty => format!(
                "the login scripts of {user} on {host} print too much where nobody reads; let them be silent without a terminal."
            ),
            Self::Unknown => {
                format!("run `ssh {user}@{host} sudo -n true` by hand and see what it says.")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SudoPasswordNeeded => "sudo needs a password",
            Self::SudoPasswordWrong => "sudo did not take the password",
            Self::SudoNotAllowed => "sudo does not allow it",
            Self::SudoRequiresTty => "sudo wants a terminal (requiretty)",
            Self::SudoMissing => "sudo is not installed",
            Self::SudoBroken => "sudo cannot become root",
            Self::Noexec => "programs below /opt may not be executed",
            Self::ReadOnly => "/opt is read-only",
            Self::DiskFull => "no space is left for it",
            Self::ToolMissing => "a program that the start needs is missing",
            Self::Corrupt => "it arrived damaged",
            Self::WrongArchitecture => "it is for another architecture",
            Self::NoShell => "the login has no shell that runs commands",
            Self::StrangeShell => "the login shell does not understand the command",
            Self::ExecRefused => "the SSH server refuses to run commands",
            Self::Killed => "it was killed",
            Self::Silent => "it said nothing in time",
            Self::Chatty => "the login printed more than 64 KiB before it",
            Self::Unknown => "the reason is not known",
        })
    }
}
