//! Ways to log in, and what is said when none works.

use std::fs;

use lab::{Access, HostSpec, Release};
use tests::{Outcome, Site};

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
    let status = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&made)
        .status()?;
    assert!(status.success());
    let public = fs::read_to_string(made.with_extension("pub"))?;
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
