//! The lab's own promises, kept on real hosts. Needs root; run by `cargo lab test real`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::lab::sweep;
use lab::{Access, Home, HostSpec, Lab, Release, Spec};

type Outcome = Result<(), Box<dyn Error>>;

/// Names of this run's labs differ from those of another that runs at the same time.
fn name(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn text(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

fn one_of_each_release(spec: impl Fn(HostSpec) -> HostSpec) -> Vec<HostSpec> {
    Release::ALL.map(HostSpec::new).map(spec).into()
}

#[test]
fn hosts_of_all_releases_answer_at_their_only_address() -> Outcome {
    let home = Home::open()?;
    let hosts = one_of_each_release(|spec| spec.v6().access(Access::Sudo("ops".to_owned())));
    let lab = Lab::up(&home, &Spec::ephemeral(&name("v6"), hosts))?;
    for host in lab.hosts() {
        assert_eq!(
            text(host.ssh().arg("sudo -n id -un"))?,
            "root",
            "{}",
            host.host_name()
        );
        assert_eq!(
            text(host.ssh().arg("systemctl is-system-running"))?,
            "running",
            "{}",
            host.host_name()
        );
        assert_eq!(
            host.root_text(&["ip", "-4", "-brief", "address", "show", "dev", "host0"])?,
            ""
        );
        let routes = host.root_text(&["ip", "route", "show", "default"])?;
        assert_eq!(routes, "", "a host has no way out");
    }
    // Hosts of one lab reach each other.
    let [first, second, ..] = lab.hosts() else {
        return Err("a lab of three hosts".into());
    };
    let greeting = format!("exec 3<>/dev/tcp/{}/22; head -c 4 <&3", second.address());
    assert_eq!(first.root_text(&["bash", "-c", &greeting])?, "SSH-");
    lab.down()?;
    Ok(())
}

#[test]
fn hosts_added_later_have_what_they_were_asked_for() -> Outcome {
    let home = Home::open()?;
    let name = name("added");
    let mut lab = Lab::up(
        &home,
        &Spec::ephemeral(&name, vec![HostSpec::new(Release::Bookworm)]),
    )?;
    let access = Access::SudoWithPassword("ops".to_owned());
    lab.add(&one_of_each_release(|spec| spec.access(access.clone())))?;

    assert_eq!(lab.hosts().len(), 4);
    for host in &lab.hosts()[1..] {
        let without = host
            .ssh()
            .arg("sudo -n true")
            .stderr(Stdio::null())
            .status()?;
        assert!(
            !without.success(),
            "sudo asks for no password on {}",
            host.host_name()
        );
        let password = fs::File::open(host.sudo_password_file().ok_or("a host with a password")?)?;
        let user = text(host.ssh().arg("sudo -S -k -p '' id -un").stdin(password))?;
        assert_eq!(user, "root");
    }
    assert_eq!(
        Lab::open(&home, &name)?.hosts().len(),
        4,
        "another process finds them"
    );
    lab.down()?;
    Ok(())
}

#[test]
fn a_unit_of_the_same_name_on_two_hosts_is_two_units() -> Outcome {
    let home = Home::open()?;
    let hosts = vec![
        HostSpec::new(Release::Bookworm),
        HostSpec::new(Release::Bookworm),
    ];
    let lab = Lab::up(&home, &Spec::ephemeral(&name("units"), hosts))?;
    for host in lab.hosts() {
        host.root_text(&["systemd-run", "--unit=same", "sleep", "600"])?;
    }
    lab.hosts()[0].root_text(&["systemctl", "kill", "--signal=KILL", "same"])?;
    until("the unit of the first host is gone", || {
        lab.hosts()[0]
            .root(&["systemctl", "is-active", "same"])
            .is_ok_and(|output| !output.status.success())
    });
    assert_eq!(
        lab.hosts()[1].root_text(&["systemctl", "is-active", "same"])?,
        "active"
    );
    lab.down()?;
    Ok(())
}

#[test]
fn a_host_keeps_its_files_through_power_failure_and_reboot() -> Outcome {
    let home = Home::open()?;
    let hosts = one_of_each_release(|spec| spec.disk(256 << 20));
    let lab = Lab::up(&home, &Spec::ephemeral(&name("power"), hosts))?;
    for host in lab.hosts() {
        host.root_text(&[
            "sh",
            "-c",
            "echo kept >/etc/kept; echo kept >/var/kept; sync",
        ])?;
        host.kill()?;
        assert!(!host.is_on());
        assert!(
            host.root(&["true"]).is_err(),
            "nothing runs on a host that is off"
        );
        host.boot()?;
        assert_eq!(
            host.root_text(&["cat", "/etc/kept", "/var/kept"])?,
            "kept\nkept"
        );
        host.reboot()?;
        assert_eq!(text(host.ssh().arg("cat /var/kept"))?, "kept");
    }
    lab.down()?;
    Ok(())
}

#[test]
fn a_full_disk_and_a_cut_network_are_as_bad_as_they_sound_and_can_be_undone() -> Outcome {
    let home = Home::open()?;
    let hosts = vec![HostSpec::new(Release::Bookworm).disk(128 << 20)];
    let lab = Lab::up(&home, &Spec::ephemeral(&name("bad"), hosts))?;
    let host = &lab.hosts()[0];
    let write = [
        "dd",
        "if=/dev/zero",
        "of=/var/more",
        "bs=1M",
        "count=8",
        "conv=fsync",
    ];

    host.fill_disk(1 << 20)?;
    assert!(
        !host.root(&write)?.status.success(),
        "8 MiB fit where 1 MiB is left"
    );
    host.free_disk()?;
    host.root_text(&write)?;

    let login = || {
        let mut ssh = host.ssh();
        ssh.args(["-o", "ConnectTimeout=2"])
            .arg("true")
            .stderr(Stdio::null());
        ssh
    };
    host.cut_network()?;
    assert!(
        !login().status()?.success(),
        "a host answers over a cut network"
    );
    host.join_network()?;
    until("the host answers again", || {
        login().status().is_ok_and(|status| status.success())
    });
    lab.down()?;
    Ok(())
}

#[test]
fn what_a_killed_run_left_is_removed_and_nothing_else() -> Outcome {
    let home = Home::open()?;
    let name = name("killed");
    // Another process brings a lab up that is to end with it, and is killed with its hosts on.
    let mut other = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "brings_a_lab_up_and_waits",
            "--ignored",
            "--nocapture",
        ])
        .env(KILLED_LAB, &name)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let directory = home.labs().join(&name);
    until("the other process's host is up", || {
        directory.join("ready").exists()
    });
    let found = Lab::open(&home, &name)?;
    let bridge = found
        .network()
        .ok_or("a lab that is up has a network")?
        .bridge();
    let keeper: i32 = fs::read_to_string(directory.join("hosts/1/pid"))?
        .trim()
        .parse()?;
    sweep(&home)?;
    assert!(
        found.hosts()[0].is_on(),
        "a lab whose owner lives is no leftover"
    );

    other.kill()?;
    other.wait()?;
    sweep(&home)?;

    assert!(!directory.exists());
    assert!(!Path::new("/sys/class/net").join(bridge).exists());
    until("its keeper has ended", || {
        fs::read_to_string(format!("/proc/{keeper}/stat")).map_or(true, |stat| stat.contains(") Z"))
    });
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    assert!(
        !mounts.contains(&directory.display().to_string()),
        "{mounts}"
    );
    Ok(())
}

/// Set for the process that is killed.
const KILLED_LAB: &str = "ETCD_LAB_KILLED_LAB";

#[test]
#[ignore = "it is the other process of another test"]
fn brings_a_lab_up_and_waits() -> Outcome {
    let name = std::env::var(KILLED_LAB)?;
    let home = Home::open()?;
    let lab = Lab::up(
        &home,
        &Spec::ephemeral(&name, vec![HostSpec::new(Release::Bookworm)]),
    )?;
    fs::write(lab.directory().join("ready"), "")?;
    // Until it is killed, or the test that started it has ended.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
