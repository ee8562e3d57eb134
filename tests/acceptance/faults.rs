//! Faults of hosts in the middle of a creation: a clear error, nothing tainted, and the next apply
//! completes it.

use std::{
    fs,
    time::{Duration, Instant},
};

use lab::{Access, Host, HostSpec, Release};
use tests::{Outcome, Run, Site};

fn three() -> Vec<HostSpec> {
    vec![HostSpec::new(Release::Bookworm); 3]
}

/// The apply failed as it should, nothing is tainted, and after mending the next one completes it.
fn fails_then_completes(
    site: &Site,
    failed: &Run,
    says: &[&str],
    mend: impl FnOnce() -> Outcome,
) -> Outcome {
    assert_ne!(failed.code, 0, "{failed}");
    for words in says {
        failed.expect_says(words);
    }
    mend()?;
    let plan = site.plan()?;
    assert!(
        !plan.text.contains("tainted") && !plan.text.contains("replaced"),
        "{plan}"
    );
    site.apply()?.expect_ok();
    assert_eq!(site.state("etcd_cluster.demo")?["status"], "ready");
    site.expect_no_change()
}

#[test]
fn an_archive_with_another_checksum_is_not_installed() -> Outcome {
    let site = Site::prepared("checksum", three())?;
    let mirror = tempfile::tempdir()?;
    let release = "etcd/v3.5.35";
    for folder in [release, "step-ca/v0.30.2", "step/v0.30.2"] {
        fs::create_dir_all(mirror.path().join(folder))?;
        for entry in fs::read_dir(site.archives().join(folder))?.flatten() {
            fs::copy(
                entry.path(),
                mirror.path().join(folder).join(entry.file_name()),
            )?;
        }
    }
    let sums = mirror.path().join(release).join("SHA256SUMS");
    let right = fs::read_to_string(&sums)?;
    let wrong: Vec<String> = right
        .lines()
        .map(|line| format!("{}{}", "0".repeat(64), &line[64..]))
        .collect();
    let wrong = wrong.join("\n");
    fs::write(&sums, wrong)?;
    let mut variables = site.quickstart();
    variables["download_mirror"] = mirror.path().display().to_string().into();
    site.set(&variables)?;
    let failed = site.apply()?;
    fails_then_completes(
        &site,
        &failed,
        &["SHA-256 of", "the release's checksum file"],
        || {
            assert!(
                site.hosts()[0].root_text(&["ls", "/opt/etcd"]).is_err(),
                "nothing was laid down"
            );
            Ok(fs::write(&sums, right)?)
        },
    )?;
    site.down()
}

/// Has somebody else listen on the port for other members.
fn squat(host: &Host) -> Outcome {
    let listen = "import socket,time\ns=socket.socket()\ns.bind(('0.0.0.0',2380))\ns.listen()\ntime.sleep(600)";
    let with_python = host.root(&["which", "python3"])?.status.success();
    let command: &[&str] = if with_python {
        &["systemd-run", "--unit=squatter", "python3", "-c", listen]
    } else {
        &[
            "systemd-run",
            "--unit=squatter",
            "systemd-socket-activate",
            "-l",
            "2380",
            "cat",
        ]
    };
    host.root_text(command)?;
    tests::cluster::until("somebody listens", || {
        host.root_text(&["ss", "-Hltn", "sport = :2380"])
            .is_ok_and(|text| !text.is_empty())
    })
}

#[test]
fn a_port_that_is_taken_is_found_at_plan() -> Outcome {
    let site = Site::prepared("port", three())?;
    let host = &site.hosts()[1];
    squat(host)?;
    let plan = site.plan()?;
    fails_then_completes(
        &site,
        &plan,
        &[
            "Port 2380 on",
            "is taken",
            "squatter.service",
            "Nothing was changed",
        ],
        || {
            host.root_text(&["systemctl", "stop", "squatter"])?;
            Ok(())
        },
    )?;
    site.down()
}

#[test]
fn a_full_disk_leaves_nothing_half_done() -> Outcome {
    let mut hosts = three();
    hosts[1] = HostSpec::new(Release::Bookworm).disk(1 << 30);
    let site = Site::prepared("disk", hosts)?;
    let host = &site.hosts()[1];
    // Below /var lie the data and our ledger.
    host.fill_disk(64 << 10)?;
    let plan = site.plan()?;
    fails_then_completes(
        &site,
        &plan,
        &[
            "Too little room in /var/lib/etcd on",
            &host.address().to_string(),
        ],
        || Ok(host.free_disk()?),
    )?;
    site.down()
}

/// Plans, lets something happen to the host, and applies what was planned.
fn between_plan_and_apply(
    name: &str,
    happens: impl FnOnce(&Host) -> Outcome,
    says: &[&str],
    mend: impl FnOnce(&Host) -> Outcome,
) -> Outcome {
    let spec = HostSpec::new(Release::Bookworm)
        .disk(1 << 30)
        .access(Access::Sudo("ops".to_owned()));
    let site = Site::prepared(name, vec![spec])?;
    let host = &site.hosts()[0];
    site.run(&["plan", "-out=saved", "-no-color"])?.expect_ok();
    happens(host)?;
    let failed = site.run(&["apply", "-no-color", "saved"])?;
    failed.expect_says(&host.address().to_string());
    fails_then_completes(&site, &failed, says, || mend(host))?;
    site.down()
}

#[test]
fn a_disk_that_fills_after_the_plan_is_told() -> Outcome {
    between_plan_and_apply(
        "late-disk",
        |host| Ok(host.fill_disk(64 << 10)?),
        &["Too little room in /var/lib/etcd on", "Make room, or"],
        |host| Ok(host.free_disk()?),
    )
}

#[test]
fn a_port_that_is_taken_after_the_plan_is_told() -> Outcome {
    between_plan_and_apply(
        "late-port",
        squat,
        &["Port 2380 on", "squatter.service", "or stop it"],
        |host| {
            host.root_text(&["systemctl", "stop", "squatter"])?;
            Ok(())
        },
    )
}

#[test]
fn sudo_that_is_lost_after_the_plan_is_told() -> Outcome {
    between_plan_and_apply(
        "late-sudo",
        |host| {
            host.root_text(&["mv", "/etc/sudoers.d/lab", "/root/lab"])?;
            Ok(())
        },
        &["sudo", "NOPASSWD", "Hint: "],
        |host| {
            host.root_text(&["mv", "/root/lab", "/etc/sudoers.d/lab"])?;
            Ok(())
        },
    )
}

#[test]
fn a_host_that_goes_away_and_comes_back_is_waited_for() -> Outcome {
    let site = Site::prepared("away", three())?;
    let log = site.directory().join("provider.log");
    let mut child = site.start(&["apply", "-auto-approve", "-no-color"], &log)?;
    let end = Instant::now() + Duration::from_mins(2);
    while !fs::read_to_string(&log)
        .unwrap_or_default()
        .contains("prepare the host of 3")
    {
        assert!(
            Instant::now() < end && child.try_wait()?.is_none(),
            "the creation has not begun"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let host = &site.hosts()[2];
    host.kill()?;
    host.boot()?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    // It came back within the patience of the apply, or the next one goes on.
    if !output.status.success() {
        assert!(text.contains("next apply"), "{text}");
        site.apply()?.expect_ok();
    }
    assert_eq!(site.state("etcd_cluster.demo")?["status"], "ready");
    site.expect_no_change()?;
    site.down()
}

#[test]
fn foreign_data_is_never_taken_over() -> Outcome {
    let site = Site::prepared("foreign", three())?;
    let data = "/var/lib/etcd/etcd-demo-2";
    site.hosts()[1].root_text(&["mkdir", "-p", &format!("{data}/member/wal")])?;
    site.hosts()[1].root_text(&["touch", &format!("{data}/member/wal/0.wal")])?;
    let plan = site.plan()?;
    fails_then_completes(
        &site,
        &plan,
        &["is not ours", data, "Nothing was changed"],
        || {
            site.hosts()[1].root_text(&["rm", "-r", "/var/lib/etcd"])?;
            Ok(())
        },
    )?;
    site.down()
}
