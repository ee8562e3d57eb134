//! Certificates are renewed by their timers while clients work: no restart, no failed request.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
};

use lab::Host;
use tests::{
    Outcome, Site,
    cluster::{Member, until},
};

/// All three timers go off at once, and what they start renews whether it is due or not.
const AT_ONCE: &str = r#"
for role in peer server client; do
  stem=step-renew-demo-$role
  mkdir -p /run/systemd/system/$stem.service.d /run/systemd/system/$stem.timer.d
  command=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/$stem.service)
  printf '[Service]\nExecStart=\nExecStart=%s --force\n' "$command" \
    > /run/systemd/system/$stem.service.d/at-once.conf
  printf '[Timer]\nOnCalendar=\nOnActiveSec=100ms\nRandomizedDelaySec=0\nAccuracySec=1ms\n' \
    > /run/systemd/system/$stem.timer.d/at-once.conf
done
systemctl daemon-reload
systemctl restart step-renew-demo-peer.timer step-renew-demo-server.timer step-renew-demo-client.timer
"#;

/// Undoes it.
const AS_WRITTEN: &str = "
rm -r /run/systemd/system/step-renew-demo-*.d
systemctl daemon-reload
systemctl restart step-renew-demo-peer.timer step-renew-demo-server.timer step-renew-demo-client.timer
";

/// Fingerprints of the certificates that a member shows to clients and to other members, and of the one on its
/// disk for clients.
fn certificates(host: &Host) -> Result<[String; 3], Box<dyn Error>> {
    let client = "/etc/etcd/ssl/etcd-demo-*-client.crt";
    let of = |place: &str| {
        let script = format!("/opt/bin/step certificate fingerprint --insecure {place}");
        host.root_text(&["sh", "-ec", &script])
    };
    let port = |port: u16| format!("https://{}:{port}", host.address());
    Ok([of(&port(2379))?, of(&port(2380))?, of(client)?])
}

/// Start and process of a member, which a restart changes.
fn process(member: &Member<'_>) -> Result<String, Box<dyn Error>> {
    let unit = format!("etcd-demo-{}", member.key);
    let shown = [
        "systemctl",
        "show",
        "-P",
        "MainPID",
        "-P",
        "NRestarts",
        &unit,
    ];
    Ok(member.host.root_text(&shown)?)
}

/// Clients that write and read through every member while `work` is done. Gives how many requests there were.
///
/// # Errors
/// The first request that failed.
fn under_load(
    members: &[Member<'_>],
    work: impl FnOnce() -> Outcome,
) -> Result<usize, Box<dyn Error>> {
    let is_over = AtomicBool::new(false);
    let client = |member: &Member<'_>| {
        let ask = |arguments: &[&str]| {
            let answer = member.etcdctl(arguments);
            answer.map_err(|error| format!("a client of {}: {error}", member.key))
        };
        let mut requests = 0;
        while !is_over.load(Ordering::Relaxed) {
            ask(&["put", &format!("key-{}", member.key), "value"])?;
            ask(&["get", "--print-value-only", "key"])?;
            requests += 2;
        }
        Ok::<_, String>(requests)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = members
            .iter()
            .map(|member| scope.spawn(|| client(member)))
            .collect();
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        let mut requests = 0;
        for client in clients {
            requests += client.join().expect("a client does not panic")?;
        }
        done.map(|()| requests)
    })
}

#[test]
fn certificates_are_renewed_under_load_without_a_restart() -> Outcome {
    let site = Site::running("renewal")?;
    let members = [1, 2, 3].map(|number| site.member(number));
    members[0].etcdctl(&["put", "key", "value"])?;
    let of_all =
        || -> Result<Vec<_>, Box<dyn Error>> { site.hosts().iter().map(certificates).collect() };
    let processes = || -> Result<Vec<_>, Box<dyn Error>> { members.iter().map(process).collect() };
    let (before, started) = (of_all()?, processes()?);
    let requests = under_load(&members, || {
        for host in site.hosts() {
            host.root_text(&["sh", "-ec", AT_ONCE])?;
        }
        let renewed = |now: &Vec<[String; 3]>| {
            let mut pairs = now.iter().flatten().zip(before.iter().flatten());
            pairs.all(|(now, before)| now != before)
        };
        until("all members show renewed certificates", || {
            of_all().is_ok_and(|now| renewed(&now))
        })
    })?;
    assert!(requests > 0, "clients were at work");
    assert_eq!(processes()?, started, "nobody was restarted");
    for host in site.hosts() {
        host.root_text(&["sh", "-ec", AS_WRITTEN])?;
        let next = host.root_text(&[
            "systemctl",
            "list-timers",
            "--no-legend",
            "step-renew-demo-*",
        ])?;
        assert_eq!(next.lines().count(), 3, "{next}");
        assert!(
            next.lines().all(|line| line.contains(" left ")),
            "each goes off again: {next}"
        );
    }
    site.expect_no_change()?;
    // The others take the renewed certificate of one that starts with it.
    site.hosts()[1].root_text(&["systemctl", "restart", "etcd-demo-2"])?;
    until("the second member is back", || {
        members[1].etcdctl(&["endpoint", "health"]).is_ok()
    })?;

    // A CA that is away is told, and costs nothing meanwhile.
    let renewed = of_all()?;
    site.hosts()[0].root_text(&["systemctl", "stop", "step-ca"])?;
    let third = &site.hosts()[2];
    third.root_text(&["sh", "-ec", AT_ONCE])?;
    let service = "step-renew-demo-peer.service";
    until("the renewal has failed", || {
        third
            .root_text(&["systemctl", "is-failed", service])
            .is_ok()
    })?;
    assert_eq!(of_all()?, renewed, "what was there is kept");
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "the CA is stopped: {plan}");
    plan.expect_says(&format!(
        "the last renewal of the peer certificate on {} failed",
        third.address()
    ));
    site.apply()?.expect_ok();
    third.root_text(&["sh", "-ec", AS_WRITTEN])?;
    third.root_text(&["systemctl", "start", service])?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    assert!(
        !plan.text.contains("the last renewal of the peer"),
        "{plan}"
    );
    site.down()
}
