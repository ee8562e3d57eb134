//! The system's own tables and programs: users, clocks, systemctl.

use std::{
    fs,
    io::Write,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{failure::Failed, proto::failure::Kind};

/// A line of /etc/passwd.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

/// Reads /etc/passwd itself: a static program has no name service.
pub(crate) fn user(name: &str) -> Option<User> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() >= 6 && fields[0] == name).then(|| {
            Some(User {
                uid: fields[2].parse().ok()?,
                gid: fields[3].parse().ok()?,
                home: fields[5].to_owned(),
            })
        })?
    })
}

pub(crate) fn group(name: &str) -> Option<u32> {
    let text = fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() >= 3 && fields[0] == name).then(|| fields[2].parse().ok())?
    })
}

/// Name of a uid, or the number where there is none.
pub(crate) fn user_name(uid: u32) -> String {
    name_of("/etc/passwd", uid)
}

/// Name of a gid, or the number where there is none.
pub(crate) fn group_name(gid: u32) -> String {
    name_of("/etc/group", gid)
}

fn name_of(table: &str, id: u32) -> String {
    let id = id.to_string();
    fs::read_to_string(table)
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == id).then(|| name.to_owned())
        })
        .unwrap_or(id)
}

/// Ids of a user and a group by name.
pub(crate) fn ids(user_name: &str, group_name: &str) -> Result<(u32, u32), Failed> {
    let missing = |what: &str, name: &str| {
        Failed::new(Kind::NotFound, name, format!("there is no {what} {name}"))
    };
    let uid = user(user_name)
        .ok_or_else(|| missing("user", user_name))?
        .uid;
    let gid = group(group_name).ok_or_else(|| missing("group", group_name))?;
    Ok((uid, gid))
}

pub(crate) fn own(path: &Path, user: &str, group: &str) -> Result<(), Failed> {
    let (uid, gid) = ids(user, group)?;
    chown(path, Some(uid), Some(gid))
        .map_err(|error| Failed::io("changing the owner of", path.display().to_string(), &error))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
        })
}

/// Runs a program with fixed arguments and an empty environment but PATH; answers its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, Failed> {
    run_with(program, arguments, &[], None)
}

/// The same with more environment and text on standard input.
pub(crate) fn run_with(
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: Option<&[u8]>,
) -> Result<String, Failed> {
    let failed = |message: String| Failed::new(Kind::ProgramFailed, program, message);
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .envs(environment.iter().copied())
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("starting {program} failed: {error}")))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin
            .write_all(input)
            .map_err(|error| failed(format!("writing to {program} failed: {error}")))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(format!("waiting for {program} failed: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(failed(format!(
        "{program} {} ended with {}",
        arguments.join(" "),
        output.status
    ))
    .output(&text))
}
