//! What somebody does to hosts by hand is said in words, planned, and mended in place.

use lab::{Host, HostSpec, Release};
use serde_json::json;
use tests::{Outcome, Run, Site, cluster::until};

const CLUSTER: &str = "etcd_cluster.demo";

/// One thing that somebody does on the second host, and what the plan must say of it.
struct Case {
    script: &'static str,
    says: &'static [&'static str],
}

const CASES: [Case; 22] = [
    Case {
        script: "sed -i 's/heartbeat-interval: 250/heartbeat-interval: 300/' /etc/etcd/etcd-demo-2-conf.yaml",
        says: &["heartbeat-interval is 300, wanted 250"],
    },
    Case {
        script: "sed -i 's/heartbeat-interval: 250/heartbeat-interval: 300/' /etc/etcd/etcd-demo-2-conf.yaml \
                 && systemctl restart etcd-demo-2",
        says: &["heartbeat-interval is 300, wanted 250", "restart 2; "],
    },
    Case {
        script: "echo '# mine' >> /etc/systemd/system/etcd-demo-2.service && systemctl daemon-reload",
        says: &["/etc/systemd/system/etcd-demo-2.service was edited"],
    },
    Case {
        script: "systemctl stop etcd-demo-2",
        says: &["unit etcd-demo-2.service is stopped", "start 2"],
    },
    Case {
        script: "systemctl disable --now etcd-demo-2",
        says: &[
            "unit etcd-demo-2.service is disabled",
            "unit etcd-demo-2.service is stopped",
        ],
    },
    Case {
        script: "systemctl disable --now step-renew-demo-server.timer",
        says: &["timer step-renew-demo-server.timer is stopped"],
    },
    Case {
        script: "printf x >> /opt/etcd/3.5.35/etcdctl",
        says: &["/opt/etcd/3.5.35/etcdctl is another program than the one installed"],
    },
    Case {
        script: "cp /opt/etcd/3.5.35/etcd /root/other && printf x >> /root/other && mv /root/other /opt/etcd/3.5.35/etcd && systemctl restart etcd-demo-2",
        says: &[
            "/opt/etcd/3.5.35/etcd is another program than the one installed",
            "etcd-demo-2.service runs another program than the one installed",
            "restart 2; ",
        ],
    },
    Case {
        script: "rm /etc/etcd/ssl/etcd-demo-2-client.crt",
        says: &["client certificate is missing"],
    },
    Case {
        script: "chmod 0644 /etc/etcd/ssl/etcd-demo-2-peer.key",
        says: &["etcd-demo-2-peer.key has mode 0644"],
    },
    Case {
        script: "rm /etc/etcd/issuers/main.json",
        says: &["/etc/etcd/issuers/main.json is missing"],
    },
    Case {
        script: "cd /etc/etcd/ssl && for role in server peer; do \
                 /opt/bin/step certificate create demo.$role.etcd.internal /tmp/foreign.crt \
                 --key etcd-demo-2-$role.key --profile self-signed --subtle --force \
                 --san demo.$role.etcd.internal && cat /tmp/foreign.crt > etcd-demo-2-$role.crt; done",
        says: &[
            "etcd-demo-2-server.crt was not issued by main",
            "etcd-demo-2-peer.crt was not issued by main",
            "issue the server certificate of 2",
        ],
    },
    Case {
        script: "cd /etc/etcd/ssl && chmod 0600 main-root_ca.crt && chown nobody main-root_ca.crt",
        says: &["main-root_ca.crt has mode 0600 and owner nobody, wanted 0644 and root"],
    },
    Case {
        script: "chmod 0 /etc/etcd/ssl/etcd-demo-2-server.crt /etc/etcd/issuers/main.json",
        says: &[
            "etcd-demo-2-server.crt has mode 0000",
            "main.json has mode 0000",
        ],
    },
    Case {
        script: "chgrp root /etc/etcd/etcd-demo-2-conf.yaml",
        says: &["etcd-demo-2-conf.yaml has group root, wanted etcd"],
    },
    Case {
        script: "rm -rf /opt/etcd-node",
        says: &[
            "which renews certificates, is missing",
            "prepare the host of 2",
        ],
    },
    Case {
        script: "rm /opt/bin/etcd-3.5.35 && chmod 0700 /opt/bin",
        says: &["/opt/bin/etcd-3.5.35 is missing", "/opt/bin has mode 0700"],
    },
    Case {
        script: "ln -sfn /bin/true /opt/bin/etcd-3.5.35",
        says: &["/opt/bin/etcd-3.5.35 does not lead to /opt/etcd/3.5.35/etcd"],
    },
    // As after a restore by root.
    Case {
        script: "systemctl stop etcd-demo-2 && chown -R root:root /var/lib/etcd/etcd-demo-2",
        says: &[
            "/var/lib/etcd/etcd-demo-2 has mode 0700 and owner root, wanted 0700 and etcd",
            "start 2",
        ],
    },
    Case {
        script: "chown root:root /var/lib/etcd/etcd-demo-2/member/wal && systemctl kill -s KILL etcd-demo-2",
        says: &["/var/lib/etcd/etcd-demo-2/member/wal does not belong to etcd"],
    },
    // The crash that it causes comes at the next start; until then only this says so.
    Case {
        script: "chmod 0 /opt/etcd/3.5.35/etcd && chmod 0700 /opt/etcd /etc/etcd /etc/etcd/ssl && \
                 chown nobody /var/lib/etcd",
        says: &[
            "/opt/etcd/3.5.35/etcd has mode 0000 and owner root, wanted 0755 and root",
            "/opt/etcd has mode 0700",
            "/etc/etcd has mode 0700",
            "/etc/etcd/ssl has mode 0700",
            "/var/lib/etcd has mode 0700 and owner nobody",
        ],
    },
    Case {
        script: "chmod 0 /opt/etcd/3.5.35/etcd && chmod 0700 /etc/etcd && \
                 systemctl kill -s KILL etcd-demo-2",
        says: &[
            "/opt/etcd/3.5.35/etcd has mode 0000",
            "/etc/etcd has mode 0700",
        ],
    },
];

fn pid(host: &Host, key: &str) -> Result<String, Box<dyn std::error::Error>> {
    Ok(host.root_text(&[
        "systemctl",
        "show",
        "-P",
        "MainPID",
        &format!("etcd-demo-{key}"),
    ])?)
}

#[test]
fn what_was_changed_by_hand_is_said_and_mended() -> Outcome {
    let site = Site::running("drift")?;
    let [first, second, third] = site.hosts() else {
        return Err("three hosts".into());
    };
    let others = [pid(first, "1")?, pid(third, "3")?];
    for Case { script, says } in CASES {
        second.root_text(&["sh", "-ec", script])?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 2, "after `{script}`: {plan}");
        plan.expect_says("2 (");
        for words in says {
            plan.expect_says(words);
        }
        site.apply()?.expect_ok();
        assert_eq!(site.state(CLUSTER)?["status"], "ready", "after `{script}`");
        site.expect_no_change()?;
        // Nobody else was touched.
        assert_eq!(
            [pid(first, "1")?, pid(third, "3")?],
            others,
            "after `{script}`"
        );
    }
    site.down()
}

#[test]
fn what_no_apply_mends_is_said_and_left_alone() -> Outcome {
    let site = Site::running("left")?;
    let second = &site.hosts()[1];
    // A drop-in is somebody's own: a limit is no matter, another program is.
    let directory = "/etc/systemd/system/etcd-demo-2.service.d";
    let drop_in = |line: &str| {
        let script = format!(
            "mkdir -p {directory} && printf '[Service]\\n{line}\\n' > {directory}/mine.conf && \
             systemctl daemon-reload"
        );
        second.root_text(&["sh", "-ec", &script])
    };
    drop_in("LimitNPROC=5000")?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 0, "{plan}");
    assert!(!plan.text.contains("mine.conf"), "{plan}");
    drop_in("ExecStart=\\nExecStart=/bin/sleep 1000")?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 0, "no apply mends it: {plan}");
    plan.expect_says("etcd-demo-2.service on");
    plan.expect_says("starts something else than was written");
    plan.expect_says("/etc/systemd/system/etcd-demo-2.service.d/mine.conf");
    let script = format!("rm -r {directory} && systemctl daemon-reload");
    second.root_text(&["sh", "-ec", &script])?;
    site.expect_no_change()?;
    // A ledger has a copy.
    for script in [
        "rm /var/lib/etcd-node/ledger.json",
        "truncate --size=0 /var/lib/etcd-node/ledger.json",
    ] {
        second.root_text(&["sh", "-ec", script])?;
        site.expect_no_change()?;
    }
    // The next change writes both.
    second.root_text(&["rm", "/etc/etcd/issuers/main.json"])?;
    site.apply()?.expect_ok();
    second.root_text(&[
        "cmp",
        "/var/lib/etcd-node/ledger.json",
        "/etc/etcd-node/ledger.json",
    ])?;
    // Without either, nothing on the host is touched, and what to do is said once.
    let before = pid(second, "2")?;
    let script = "mkdir /root/kept && mv /etc/etcd-node/ledger.json /root/kept/copy && \
                  cp -a /var/lib/etcd-node/ledger.json /root/kept/ && : > /var/lib/etcd-node/ledger.json";
    second.root_text(&["sh", "-ec", script])?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("/var/lib/etcd-node/ledger.json cannot be read");
    second.root_text(&["rm", "/var/lib/etcd-node/ledger.json"])?;
    for run in [site.plan()?, site.apply()?] {
        assert_eq!(run.code, 1, "{run}");
        run.expect_says("does not know it any more");
        run.expect_says("back from a backup");
    }
    // A removal would leave the member running and let go of what others on the host need.
    let destroy = site.run(&["destroy", "-refresh=false", "-auto-approve", "-no-color"])?;
    assert_ne!(destroy.code, 0, "{destroy}");
    destroy.expect_says("does not know it any more");
    assert_eq!(pid(second, "2")?, before);
    second.root_text(&["mv", "/root/kept/ledger.json", "/var/lib/etcd-node/"])?;
    // A removal takes the outputs out of the state before anything else.
    site.apply()?.expect_ok();
    assert_eq!(pid(second, "2")?, before);
    site.expect_no_change()?;
    site.down()
}

#[test]
fn a_ca_that_was_changed_by_hand_is_said_and_mended() -> Outcome {
    const CA: &str = "etcd_step_ca.main";
    let site = Site::running("authority")?;
    let host = &site.hosts()[0];
    for (script, says) in [
        (
            "systemctl disable --now step-ca",
            &["unit step-ca.service is stopped"][..],
        ),
        (
            "echo '# mine' >> /etc/systemd/system/step-ca.service && systemctl daemon-reload",
            &["/etc/systemd/system/step-ca.service was edited"],
        ),
        (
            "sed -i 's/17520h/8760h/' /etc/step-ca/config/ca.json",
            &["/etc/step-ca/config/ca.json was edited"],
        ),
        (
            "chmod 0644 /etc/step-ca/secrets/root_ca_key && chmod 0755 /etc/step-ca/secrets && \
             chown nobody /etc/step-ca/certs",
            &[
                "/etc/step-ca/secrets has another owner, or a mode that does not protect it",
                "/etc/step-ca/secrets/root_ca_key has another owner",
                "/etc/step-ca/certs has another owner",
            ],
        ),
        (
            "rm /opt/bin/step-ca && systemctl kill -s KILL step-ca",
            &["/opt/bin/step-ca is missing"],
        ),
        (
            "chmod 0600 /opt/step-ca/*/step-ca",
            &["/step-ca has mode 0600 and owner root, wanted 0755 and root"],
        ),
        (
            "rm /etc/step-ca/secrets/provisioner_key",
            &["/etc/step-ca/secrets/provisioner_key is missing"],
        ),
        // The key of the root may be kept elsewhere.
        (
            "mv /etc/step-ca/secrets/root_ca_key /root/ && sed -i 's/17520h/8760h/' /etc/step-ca/config/ca.json",
            &["/etc/step-ca/config/ca.json was edited"],
        ),
    ] {
        host.root_text(&["sh", "-ec", script])?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 2, "after `{script}`: {plan}");
        for words in says {
            plan.expect_says(words);
        }
        site.apply()?.expect_ok();
        assert_eq!(site.state(CA)?["status"], "ready", "after `{script}`");
        site.expect_no_change()?;
    }
    // The new provisioner signs.
    site.hosts()[1].root_text(&["rm", "/etc/etcd/ssl/etcd-demo-2-client.crt"])?;
    site.apply()?.expect_ok();
    // It is asked for a minute, and not for as long as the whole change may take.
    let good = std::fs::read_to_string(site.directory().join("main.tf"))?;
    host.root_text(&[
        "sh",
        "-ec",
        "mv /opt/bin/step-ca /root/link; systemctl stop step-ca",
    ])?;
    let changed = site.with("server_sans         = [\"etcd.example\"]")?;
    site.write("main.tf", &changed)?;
    let apply = site.run(&["apply", "-refresh=false", "-auto-approve", "-no-color"])?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says("The CA main on");
    host.root_text(&["mv", "/root/link", "/opt/bin/step-ca"])?;
    site.write("main.tf", &good)?;
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    // What nobody can make again is said while step-ca still has it in memory.
    let key = "/etc/step-ca/secrets/intermediate_ca_key";
    host.root_text(&["mv", key, "/root/kept"])?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    plan.expect_says(&format!("{key} is missing"));
    plan.expect_says("put it back from a backup");
    let apply = site.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    apply.expect_says("put it back from a backup");
    host.root_text(&["mv", "/root/kept", key])?;
    site.apply()?.expect_ok();
    assert_eq!(site.state(CA)?["status"], "ready");
    site.expect_no_change()?;
    site.down()
}

/// Issues a certificate as the CA does, but long ago: `$1` the role, the rest names.
const LONG_AGO: &str = r#"
cd /etc/etcd/ssl
role=$1
shift
# Its timer has not run since.
systemctl stop step-renew-demo-$role.timer
for name in "$@"; do names="$names --san $name"; done
/opt/bin/step certificate create demo.$role.etcd.internal /root/late.crt $names \
  --key etcd-demo-1-$role.key --force --bundle --not-before=-17000h --not-after=520h \
  --ca /etc/step-ca/certs/intermediate_ca.crt --ca-key /etc/step-ca/secrets/intermediate_ca_key \
  --ca-password-file /etc/step-ca/secrets/intermediate_password
cat /root/late.crt > etcd-demo-1-$role.crt
"#;

#[test]
fn a_certificate_that_is_late_is_said_and_issued_anew() -> Outcome {
    let site = Site::prepared("late", vec![HostSpec::new(Release::Bookworm)])?;
    site.apply()?.expect_ok();
    let host = &site.hosts()[0];
    let address = host.address().to_string();
    let client = ["client", "demo.client.etcd.internal"];
    let peer = ["peer", "demo.peer.etcd.internal", "etcd-demo-1", &address];
    for arguments in [&client[..], &peer] {
        host.root_text(&[&["sh", "-ec", LONG_AGO, "sh"], arguments].concat())?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 2, "{plan}");
        let role = arguments[0];
        plan.expect_says(&format!(
            "1 ({address}): renewal of the {role} certificate is overdue"
        ));
        plan.expect_says(&format!("issue the {role} certificate of 1"));
        site.apply()?.expect_ok();
        assert_eq!(site.state(CLUSTER)?["status"], "ready");
        site.expect_no_change()?;
    }
    site.down()
}

#[test]
fn a_member_without_ledger_or_with_a_former_one_gets_a_way_out() -> Outcome {
    let site = Site::running("ledger")?;
    let third = &site.hosts()[2];
    site.member(1).etcdctl(&["put", "key", "value"])?;
    let run = |command: &str| third.root_text(&["sh", "-ec", command]);
    let back = || -> Outcome {
        assert_eq!(site.plan()?.code, 2);
        site.apply()?.expect_ok();
        assert_eq!(site.state(CLUSTER)?["status"], "ready");
        site.expect_no_change()?;
        let text = site.member(3).etcdctl(&["get", "key"])?;
        assert!(text.contains("value"), "{text}");
        Ok(())
    };
    // The ledger and its copy are gone, and no backup is there: the error names the command.
    run("rm /var/lib/etcd-node/ledger.json /etc/etcd-node/ledger.json")?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    run(&command(&plan, "systemctl disable --now "))?;
    back()?;
    // A ledger of another incarnation: the same.
    run(
        "sed -i 's/\"id\": *\"[0-9a-f]*\"/\"id\": \"00000000deadbeef\"/' \
         /var/lib/etcd-node/ledger.json /etc/etcd-node/ledger.json",
    )?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Another cluster demo is on");
    let leave = command(&plan, "sudo /opt/etcd-node/current/etcd-node leave ");
    run(leave.trim_start_matches("sudo "))?;
    back()?;
    site.down()
}

/// A command that an error names, from its beginning to the end of its paragraph.
fn command(run: &Run, start: &str) -> String {
    let text: Vec<&str> = run.text.lines().map(unframed).collect();
    let first = text.iter().position(|line| line.contains(start));
    let first = first.unwrap_or_else(|| panic!("no command {start:?} in {run}"));
    let lines = text[first..].iter().take_while(|line| !line.is_empty());
    lines.copied().collect::<Vec<_>>().join(" ")
}

/// A line of a diagnostic without the frame that the CLI draws.
fn unframed(line: &str) -> &str {
    line.trim_start_matches(['│', '╵', '╷']).trim()
}

#[test]
fn a_change_of_tuning_rolls_through_one_member_at_a_time() -> Outcome {
    let site = Site::running("rolling")?;
    site.write("main.tf", &site.with("snapshot_count = 20000")?)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    for key in ["1", "2", "3"] {
        plan.expect_says(&format!("restart {key}; "));
    }
    site.apply()?.expect_ok();
    site.expect_no_change()?;
    let conf = site.hosts()[1].root_text(&["cat", "/etc/etcd/etcd-demo-2-conf.yaml"])?;
    assert!(conf.contains("snapshot-count: 20000"), "{conf}");
    site.down()
}

#[test]
fn a_host_that_is_down_is_a_warning_and_no_drift() -> Outcome {
    let site = Site::running("down")?;
    site.hosts()[2].kill()?;
    // It may have led the others.
    for member in [1, 2].map(|number| site.member(number)) {
        until("the others have a leader", || {
            member.etcdctl(&["endpoint", "health"]).is_ok()
        })?;
    }
    // With the postcondition of the example, whoever plans is told.
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("etcd cluster demo: 2 of 3 members healthy; 3 (");
    let with = std::fs::read_to_string(site.directory().join("main.tf"))?;
    let without = with.replace("self.status == \"ready\"", "self.status != \"\"");
    site.write("main.tf", &without)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 0, "a host that is down is no change: {plan}");
    plan.expect_says("was not seen");
    // What changes there waits, and no apply says that it is done.
    let changed = site.with("server_sans         = [\"etcd.example\"]")?;
    site.write("main.tf", &changed)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    let apply = site.apply()?;
    assert_eq!(apply.code, 1, "{apply}");
    for run in [plan, apply] {
        run.expect_says("was not seen, and what changes there waits for it");
    }
    let sans = &site.state(CLUSTER)?["server_sans"];
    assert_ne!(*sans, json!(["etcd.example"]), "it stands in no state");
    site.write("main.tf", &with)?;
    // The others are mended all the same.
    site.hosts()[1].root_text(&[
        "systemctl",
        "disable",
        "--now",
        "step-renew-demo-peer.timer",
    ])?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 2, "{plan}");
    let apply = site.apply()?;
    apply.expect_says("members healthy; 3 (");
    let timer =
        site.hosts()[1].root_text(&["systemctl", "is-active", "step-renew-demo-peer.timer"])?;
    assert_eq!(timer, "active");
    site.hosts()[2].boot()?;
    let member = site.member(3);
    until("the member answers again", || {
        member.etcdctl(&["endpoint", "health"]).is_ok()
    })?;
    site.apply()?.expect_ok();
    assert_eq!(site.state(CLUSTER)?["status"], "ready");
    site.expect_no_change()?;
    site.down()
}

#[test]
fn changes_that_need_what_is_not_there_yet_are_refused_at_plan() -> Outcome {
    let site = Site::running("refused")?;
    let text = std::fs::read_to_string(site.directory().join("main.tf"))?;
    let value = "x".repeat(100_000);
    for number in 0..20 {
        let key = format!("key{number}");
        site.member(1).etcdctl(&["put", &key, &value])?;
    }
    for (line, says) in [
        ("client_port = 4379", "Ports cannot change yet"),
        ("version = \"3.6.16\"", "The version cannot change yet"),
        (
            "quota_backend_bytes = 1048576",
            "The database is larger than that",
        ),
    ] {
        site.write("main.tf", &site.with(line)?)?;
        let plan = site.plan()?;
        assert_eq!(plan.code, 1, "{plan}");
        plan.expect_says(says);
        site.write("main.tf", &text)?;
    }
    let mut variables = site.quickstart();
    variables["hosts"] = json!([variables["hosts"][0], variables["hosts"][1]]);
    site.set(&variables)?;
    let plan = site.plan()?;
    assert_eq!(plan.code, 1, "{plan}");
    plan.expect_says("Members cannot be added or removed yet");
    site.set(&site.quickstart())?;
    site.expect_no_change()?;
    site.down()
}
