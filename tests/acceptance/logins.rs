//! Ways to log in, and what is said when none works.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use lab::{Access, Host, HostSpec, Release};
use tests::{Outcome, Site, cluster::until};

/// A CA on the first host: the smallest thing that needs a login.
fn configuration(site: &Site, ssh: &str) -> String {
    format!(
        r#"
terraform {{
  required_providers {{
    etcd = {{ source = "etcd-fleet/etcd" }}
  }}
}}
provider "etcd" {{
  ssh {{
    {ssh}
  }}
  download {{
    mirror = "{}"
  }}
}}
resource "etcd_step_ca" "main" {{
  name                = "main"
  nodes               = {{ "1" = {{ host = "{}" }} }}
  active_node         = "1"
  deletion_protection = false
}}
"#,
        site.archives().display(),
        site.hosts()[0].address()
    )
}

/// Makes a key without a passphrase; gives its public half.
fn make_key(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()?;
    assert!(status.success());
    Ok(fs::read_to_string(path.with_extension("pub"))?)
}

fn plan_says(site: &Site, ssh: &str, words: &[&str]) -> Outcome {
    site.write("main.tf", &configuration(site, ssh))?;
    site.init()?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    for words in words {
        plan.expect_says(words);
    }
    Ok(())
}

#[test]
fn a_host_key_that_is_unknown_or_changed_is_refused_with_the_line_to_add() -> Outcome {
    let site = Site::new("hostkey", vec![HostSpec::new(Release::Bookworm)])?;
    let key = site.hosts()[0].private_key_file().display().to_string();
    let known = fs::read_to_string(site.hosts()[0].known_hosts_file())?;
    let empty = site.directory().join("empty");
    fs::write(&empty, "")?;
    let ssh = |known_hosts: &str| {
        format!(
            "user = \"root\"\n private_key_file = \"{key}\"\n known_hosts_file = \"{known_hosts}\""
        )
    };
    let line = known
        .lines()
        .next()
        .unwrap_or_default()
        .split(' ')
        .nth(2)
        .unwrap_or_default();
    plan_says(
        &site,
        &ssh(&empty.display().to_string()),
        &["SHA256:", line],
    )?;
    let other = site.directory().join("other");
    let made = site.directory().join("key");
    let public = make_key(&made)?;
    fs::write(&other, format!("{} {public}", site.hosts()[0].address()))?;
    plan_says(
        &site,
        &ssh(&other.display().to_string()),
        &["SHA256:", line, "Hint:"],
    )?;
    let wrong = ssh(&site.hosts()[0].known_hosts_file().display().to_string())
        .replace(&key, &made.display().to_string());
    plan_says(
        &site,
        &wrong,
        &["did not let root in", "Nothing was changed on the host"],
    )?;
    site.down()
}

#[test]
fn sudo_with_a_password_works_and_without_a_line_says_so() -> Outcome {
    let ops = || "ops".to_owned();
    let site = Site::new(
        "sudo",
        vec![HostSpec::new(Release::Bookworm).access(Access::SudoWithPassword(ops()))],
    )?;
    let host = &site.hosts()[0];
    let base = format!(
        "user = \"ops\"\n private_key_file = \"{}\"\n known_hosts_file = \"{}\"",
        host.private_key_file().display(),
        host.known_hosts_file().display()
    );
    plan_says(&site, &base, &["sudo", "sudo_password"])?;
    plan_says(
        &site,
        &format!("{base}\n sudo_password = \"no\""),
        &["sudo", "password"],
    )?;
    let password = fs::read_to_string(host.sudo_password_file().ok_or("a password")?)?;
    let right = format!("{base}\n sudo_password = \"{}\"", password.trim());
    site.write("main.tf", &configuration(&site, &right))?;
    site.init()?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    site.destroy()?.expect_ok();
    site.down()?;
    let site = Site::new(
        "nosudo",
        vec![HostSpec::new(Release::Bookworm).access(Access::WithoutSudo(ops()))],
    )?;
    let host = &site.hosts()[0];
    let base = format!(
        "user = \"ops\"\n private_key_file = \"{}\"\n known_hosts_file = \"{}\"",
        host.private_key_file().display(),
        host.known_hosts_file().display()
    );
    plan_says(&site, &base, &["sudo"])?;
    site.down()
}

/// An agent with one key; it ends when this is dropped.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn with(key: &Path, socket: PathBuf) -> Result<Self, Box<dyn std::error::Error>> {
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()?;
        let agent = Self { process, socket };
        until("the agent listens", || agent.socket.exists())?;
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &agent.socket)
            .status()?;
        assert!(added.success(), "the agent takes the key");
        Ok(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that is gone needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A network that only the two hosts know: what is reached in it is reached through the first one. Gives the
/// address of the second one.
fn hide(bastion: &Host, target: &Host) -> Result<&'static str, Box<dyn std::error::Error>> {
    for (host, address) in [(bastion, "10.77.0.1/24"), (target, "10.77.0.2/24")] {
        host.root_text(&["ip", "address", "add", address, "dev", "host0"])?;
    }
    Ok("10.77.0.2")
}

/// What the words for a login come to: the CA would be made.
fn expect_login(site: &Site, way: &str, text: &str) -> Outcome {
    site.write("main.tf", text)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "by {way}: {plan}");
    assert!(!plan.text.contains("Warning:"), "by {way}: {plan}");
    Ok(())
}

#[test]
fn every_way_of_the_ssh_block_works() -> Outcome {
    const PASSWORD: &str = "correct horse battery staple";
    let ops = || HostSpec::new(Release::Bookworm).access(Access::Sudo("ops".to_owned()));
    let mut site = Site::new("ways", vec![ops(); 2])?;
    let [host, bastion] = site.hosts() else {
        return Err("two hosts".into());
    };
    let script = format!(
        "echo 'ops:{PASSWORD}' | chpasswd && \
         echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-passwords.conf && \
         systemctl reload ssh"
    );
    for host in [host, bastion] {
        host.root_text(&["sh", "-ec", &script])?;
    }
    // Whoever has a certificate of this authority is let in.
    let [authority, signed] = ["authority", "signed"].map(|name| site.directory().join(name));
    let trusted = make_key(&authority)?;
    make_key(&signed)?;
    let status = Command::new("ssh-keygen")
        .args(["-q", "-I", "somebody", "-n", "ops", "-s"])
        .args([&authority, &signed.with_extension("pub")])
        .status()?;
    assert!(status.success());
    let trust = format!(
        "echo '{}' > /etc/ssh/authority.pub && \
         echo 'TrustedUserCAKeys /etc/ssh/authority.pub' > /etc/ssh/sshd_config.d/authority.conf && \
         systemctl reload ssh",
        trusted.trim()
    );
    host.root_text(&["sh", "-ec", &trust])?;

    let key_file = host.private_key_file();
    let key = fs::read_to_string(&key_file)?;
    let certificate_file = site.directory().join("signed-cert.pub");
    let certificate = fs::read_to_string(&certificate_file)?;
    let known = format!(
        "known_hosts_file = \"{}\"",
        host.known_hosts_file().display()
    );
    let key_file = format!("private_key_file = \"{}\"", key_file.display());
    let signed_file = format!("private_key_file = \"{}\"", signed.display());
    let password = format!("password = \"{PASSWORD}\"");
    let value = format!("private_key = <<-EOT\n{key}EOT\n");
    let signed_value = format!(
        "private_key = <<-EOT\n{}EOT\n certificate = \"{}\"",
        fs::read_to_string(&signed)?,
        certificate.trim()
    );
    let block = |identity: &str| format!("user = \"ops\"\n {identity}\n {known}");
    // A certificate beside its key is found by its name.
    let ways = [
        ("key file", key_file.clone()),
        ("key by value", value),
        ("password", password.clone()),
        ("certificate file", signed_file.clone()),
        ("certificate by value", signed_value),
    ];
    site.write("main.tf", &configuration(&site, &block(&key_file)))?;
    site.init()?;
    for (way, identity) in &ways {
        expect_login(&site, way, &configuration(&site, &block(identity)))?;
    }
    // Without its certificate the key is nobody's.
    fs::remove_file(&certificate_file)?;
    plan_says(&site, &block(&signed_file), &["did not let ops in"])?;

    // Through a bastion, with a login of its own there, to a host that only it reaches.
    let hidden = hide(bastion, host)?;
    let line = host.root_text(&["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])?;
    let through = |text: &str| {
        let node = format!("host = \"{}\"", host.address());
        assert!(text.contains(&node), "{text}");
        text.replace(
            &node,
            &format!("host = \"{hidden}\", host_key = \"{}\"", line.trim()),
        )
    };
    let by_bastion = format!(
        "{}\n bastion {{\n host = \"{}\"\n user = \"ops\"\n {password}\n {known}\n }}",
        block(&key_file),
        bastion.address()
    );
    let text = through(&configuration(&site, &by_bastion));
    expect_login(&site, "bastion", &text)?;
    // The node's own way, beside one that leads nowhere.
    let profile =
        format!("  ssh_profile {{\n name = \"inner\"\n {by_bastion}\n  }}\n  download {{");
    let text = through(&configuration(&site, &block("password = \"wrong\"")))
        .replace("  download {", &profile)
        .replace("host_key =", "ssh_profile = \"inner\", host_key =");
    expect_login(&site, "profile", &text)?;

    // An agent, named and as the default.
    let texts = ["agent = true", ""].map(|identity| configuration(&site, &block(identity)));
    let agent = Agent::with(&host.private_key_file(), site.directory().join("agent"))?;
    site.environment
        .push(("SSH_AUTH_SOCK", agent.socket.clone()));
    for text in &texts {
        expect_login(&site, "agent", text)?;
    }
    // One way to the end: what was planned is made.
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    drop(agent);
    site.down()
}
