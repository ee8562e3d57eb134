//! Nothing secret is written where it does not belong.

use std::{fs, path::Path};

use lab::{Access, HostSpec, Release};
use tests::{Outcome, Site};

/// All files below a directory.
fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && entry.file_name() != ".terraform" => {
                files(&entry.path(), found);
            }
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Output of the CLI without what Core itself repeats of the user's variables.
fn without_variables(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(mut json) => {
            if let Some(object) = json.as_object_mut() {
                object.remove("variables");
            }
            json.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

#[test]
fn secrets_stay_where_they_were_made() -> Outcome {
    let access = || Access::SudoWithPassword("ops".to_owned());
    let site = Site::new(
        "secrets",
        vec![HostSpec::new(Release::Bookworm).access(access()); 1],
    )?;
    let host = &site.hosts()[0];
    let password = fs::read_to_string(host.sudo_password_file().ok_or("a password")?)?;
    let password = password.trim();
    site.example("quickstart")?;
    let text = fs::read_to_string(site.directory().join("main.tf"))?;
    let text = text.replace(
        "    known_hosts_file = var.known_hosts_file\n",
        "    known_hosts_file = var.known_hosts_file\n    sudo_password = var.sudo_password\n",
    );
    site.write(
        "main.tf",
        &format!("{text}\nvariable \"sudo_password\" {{\n  sensitive = true\n}}\n"),
    )?;
    site.set(&site.quickstart())?;
    site.init()?;
    let log = site.directory().join("trace.log");
    let mut outputs = String::new();
    let runs: [&[&str]; 4] = [
        &["plan", "-no-color", "-out=plan.bin"],
        &["show", "-json", "plan.bin"],
        &["apply", "-auto-approve", "-no-color"],
        &["show", "-json"],
    ];
    for arguments in runs {
        let output = site
            .command(arguments)?
            .env("TF_LOG", "trace")
            .env("TF_LOG_PATH", &log)
            .env("TF_VAR_sudo_password", password)
            .output()?;
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        outputs.push_str(&without_variables(&String::from_utf8_lossy(&output.stdout)));
        outputs.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    // What was made on the host, and what was given to log in there.
    let mut secrets = vec![("the sudo password", password.to_owned())];
    for path in [
        "/etc/step-ca/secrets/root_password",
        "/etc/step-ca/secrets/intermediate_password",
        "/etc/step-ca/secrets/provisioner_key",
        "/etc/step-ca/secrets/root_ca_key",
        "/etc/etcd/ssl/etcd-demo-1-peer.key",
        "/etc/etcd/ssl/etcd-demo-1-client.key",
    ] {
        let content = host.root_text(&["cat", path])?;
        // The longest line of a key is its substance.
        let line = content
            .lines()
            .max_by_key(|line| line.len())
            .unwrap_or_default();
        assert!(line.len() >= 20, "{path} holds a secret: {content}");
        secrets.push((path, line.to_owned()));
        let mode = host.root_text(&["stat", "-c", "%a", path])?;
        assert_eq!(mode, "400", "{path}");
    }
    let key = fs::read_to_string(host.private_key_file())?;
    secrets.push((
        "the login key",
        key.lines().nth(2).unwrap_or_default().to_owned(),
    ));
    let mut places = Vec::new();
    files(site.directory(), &mut places);
    places.retain(|path| !path.ends_with("test.auto.tfvars.json"));
    for (name, secret) in &secrets {
        assert!(!outputs.contains(secret), "{name} is printed");
        for place in &places {
            let content = fs::read(place)?;
            let found = content
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            // Core's own trace names variables' values only as (sensitive value).
            assert!(!found, "{name} is in {}", place.display());
        }
    }
    // On the host: no world-readable file, no argument and no environment holds one.
    for (name, secret) in secrets.iter().skip(1) {
        let search = "grep -rlsF -f - /etc /opt /var/lib /run /var/log 2>/dev/null | while read -r file; do \
                      find \"$file\" -perm /077; done";
        let script = format!("printf '%s' \"$1\" | ({search})");
        let readable = host.root_text(&["sh", "-c", &script, "sh", secret])?;
        assert_eq!(readable, "", "{name} lies where others can read it");
        let script = "for p in /proc/[0-9]*; do [ \"$p\" = /proc/$$ ] && continue; tr '\\0' '\\n' < $p/cmdline; \
                      done 2>/dev/null | grep -cF -- \"$1\" || true";
        let seen: usize = host
            .root_text(&["sh", "-c", script, "sh", secret])?
            .trim()
            .parse()?;
        // The shell that looks, and whatever put it there, name it themselves.
        assert!(seen <= 4, "{name} is an argument of a process");
    }
    site.command(&["destroy", "-auto-approve", "-no-color"])?
        .env("TF_VAR_sudo_password", password)
        .status()?;
    site.down()
}
