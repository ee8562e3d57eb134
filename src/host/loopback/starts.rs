//! Starting the helper by a real server: banners, forced commands, missing programs, damage.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use futures::future::join_all;

use crate::{
    Architecture, Error, Helper, HelperSource, Pool, Refusal, Target,
    loopback::{observe, pool, proxy::Proxy, sshd::Sshd, target, target_with},
};

async fn refusal(pool: &Pool, target: &Target) -> (Refusal, String) {
    let error = pool.node(target).await.expect_err("a refusal");
    let Error::Start {
        refusal, output, ..
    } = error
    else {
        panic!("{error:?}")
    };
    (refusal, output)
}

fn files(cache: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![Path::new(cache).to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("the cache can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn the_helper_is_sent_once_and_lies_under_its_hash() {
    let sshd = Sshd::start().await;
    let target = target(&sshd);
    let node = pool(&sshd).node(&target).await.expect("a helper");
    assert_eq!(node.version(), "sample");
    let architecture = Architecture::from_machine(std::env::consts::ARCH).expect("a known one");
    let helpers = super::helpers();
    let helper = helpers.get(architecture).expect("one for this machine");
    let file = format!("{}/{}/etcd-node", sshd.cache(), helper.sha256());
    assert_eq!(files(&sshd.cache()), [file.as_str()]);
    let before = fs::metadata(&file)
        .expect("the helper")
        .modified()
        .expect("a time");
    pool(&sshd).node(&target).await.expect("the helper again");
    assert_eq!(
        fs::metadata(&file)
            .expect("the helper")
            .modified()
            .expect("a time"),
        before
    );
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_connection() {
    let sshd = Sshd::start().await;
    let (pool, target) = (pool(&sshd), target(&sshd));
    let nodes = join_all((0..20).map(|_| pool.node(&target))).await;
    let calls = nodes
        .iter()
        .map(|node| observe(node.as_ref().expect("a helper")));
    assert!(
        join_all(calls)
            .await
            .iter()
            .all(|operator| operator == "the tests")
    );
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_banner_is_skipped_up_to_its_limit() {
    let forced = |text: &str| {
        let line = format!("ForceCommand {text}; eval \"$SSH_ORIGINAL_COMMAND\"");
        Sshd::with(move |_| line)
    };
    let sshd = forced("echo Welcome; echo Attention >&2; head -c 60000 /dev/zero; printf x").await;
    let node = pool(&sshd)
        .node(&target(&sshd))
        .await
        .expect("the banner is below the limit");
    observe(&node).await;
    let sshd = forced("head -c 70000 /dev/zero").await;
    assert_eq!(
        refusal(&pool(&sshd), &target(&sshd)).await.0,
        Refusal::Chatty
    );
}

#[tokio::test]
async fn a_forced_command_is_told_apart_from_a_shell() {
    let sshd = Sshd::with(|_| "ForceCommand echo only backups here".to_owned()).await;
    let (refusal, output) = refusal(&pool(&sshd), &target(&sshd)).await;
    assert_eq!(
        (refusal, output.as_str()),
        (Refusal::NoShell, "only backups here")
    );
}

#[tokio::test]
async fn a_helper_that_arrives_damaged_is_thrown_away() {
    let sshd = Sshd::start().await;
    let machine = Architecture::from_machine(std::env::consts::ARCH).expect("a known one");
    // gzip of nothing, and no gzip at all.
    let empty: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for content in [empty, b"no gzip"] {
        let helper = Helper::embedded(machine, content, &"0".repeat(64));
        let pool = Pool::with_cache(HelperSource::new(vec![helper]), "tests", &sshd.cache());
        assert_eq!(refusal(&pool, &target(&sshd)).await.0, Refusal::Corrupt);
        assert_eq!(files(&sshd.cache()), [""; 0]);
    }
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let sshd = Sshd::with(|path| {
        let bin = path.join("few");
        fs::create_dir(&bin).expect("a writable directory");
        for program in [
            "env",
            "sh",
            "uname",
            "head",
            "sha256sum",
            "mkdir",
            "chmod",
            "mv",
            "rm",
        ] {
            let found = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(program));
            let found = found.iter().find(|path| path.exists()).expect("coreutils");
            symlink(found, bin.join(program)).expect("a writable directory");
        }
        symlink(path.join("bin/sudo"), bin.join("sudo")).expect("a writable directory");
        format!("SetEnv PATH={}", bin.display())
    })
    .await;
    let (refusal, output) = refusal(&pool(&sshd), &target(&sshd)).await;
    assert_eq!(refusal, Refusal::ToolMissing);
    assert!(output.contains("gzip"), "{output}");
}

#[tokio::test]
async fn a_provider_without_helpers_says_so() {
    let sshd = Sshd::start().await;
    let pool = Pool::with_cache(HelperSource::default(), "tests", &sshd.cache());
    let error = pool.node(&target(&sshd)).await.expect_err("no helper");
    assert!(
        matches!(&error, Error::NoHelper { available, .. } if available.is_empty()),
        "{error:?}"
    );
    assert!(error.hint().contains("ETCD_NODE_PATH"));
}

#[tokio::test]
async fn closed_ports_silent_servers_and_unknown_names_are_told_apart() {
    let sshd = Sshd::start().await;
    let pool = pool(&sshd);
    let mut closed = target(&sshd);
    closed.port = 1;
    let error = pool.node(&closed).await.expect_err("nothing listens");
    assert!(matches!(error, Error::Refused { port: 1, .. }), "{error:?}");

    let proxy = Proxy::start(sshd.port()).await;
    proxy.stall();
    let hurry = |profile: &mut crate::Profile| profile.timing.connect = Duration::from_millis(300);
    let mut silent = target_with(&sshd, hurry);
    silent.port = proxy.port();
    // Those who ask together wait together, not one after the other.
    let began = tokio::time::Instant::now();
    for answer in join_all((0..10).map(|_| pool.node(&silent))).await {
        let error = answer.expect_err("nothing answers");
        assert!(
            matches!(
                error,
                Error::Timeout {
                    doing: "connecting",
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.is_unreachable() && error.is_transient());
    }
    assert!(
        began.elapsed() < Duration::from_millis(2900),
        "{:?}",
        began.elapsed()
    );

    let mut nameless = target_with(&sshd, hurry);
    nameless.host = "no-such-host.invalid".to_owned();
    let error = pool.node(&nameless).await.expect_err("no address");
    // Without a name server there is no answer at all.
    assert!(
        matches!(error, Error::Resolve { .. } | Error::Timeout { .. }),
        "{error:?}"
    );
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn who_was_silent_is_waited_for_less_and_met_when_it_is_back() {
    let sshd = Sshd::start().await;
    let pool = pool(&sshd);
    let proxy = Proxy::start(sshd.port()).await;
    proxy.stall();
    let mut silent = target_with(&sshd, |profile| {
        profile.timing.connect = Duration::from_secs(3);
        profile.known_hosts = vec![crate::KnownHosts::Text {
            name: "text".into(),
            text: format!("* {}", sshd.host_key("ed25519")),
        }];
    });
    silent.port = proxy.port();
    for limit in [3, 2] {
        let error = pool.node(&silent).await.expect_err("nothing answers");
        assert!(
            matches!(error, Error::Timeout { seconds, .. } if seconds == limit),
            "{error:?}"
        );
    }
    proxy.mend();
    pool.node(&silent).await.expect("it is back");
}

#[tokio::test]
async fn stopping_ends_what_connects() {
    let sshd = Sshd::start().await;
    let proxy = Proxy::start(sshd.port()).await;
    proxy.stall();
    let mut target = target(&sshd);
    target.port = proxy.port();
    let pool = pool(&sshd);
    let connecting = tokio::spawn({
        let (pool, target) = (pool.clone(), target.clone());
        async move { pool.node(&target).await }
    });
    pool.stop();
    let error = connecting
        .await
        .expect("no panic")
        .expect_err("it was stopped");
    assert!(matches!(error, Error::Stopped { .. }), "{error:?}");
}
