//! One file to several storages.

use proxmox::{ContentKind, Distribution, Kind, Outcome as Placing, Target, Transfer, distribute};
use proxmox_server::{Effect, Fault, Files};

use crate::support::{Outcome, client, later, noise, read, server, settings, sha256, source, told};

fn distribution(targets: &[(&str, &str)], transfer: Transfer) -> Distribution {
    Distribution {
        targets: targets
            .iter()
            .map(|&(node, storage)| Target {
                node: node.to_owned(),
                storage: storage.to_owned(),
            })
            .collect(),
        content: ContentKind::Iso,
        file_name: "x.iso".to_owned(),
        transfer,
        is_replacing: false,
        restarts: 0,
        deadline: later(),
    }
}

const LOCAL: [(&str, &str); 3] = [("pve01", "local"), ("pve02", "local"), ("pve03", "local")];
const SHARED: [(&str, &str); 3] = [
    ("pve01", "resources"),
    ("pve02", "resources"),
    ("pve03", "resources"),
];

fn through(outcomes: &[Placing]) -> Vec<&str> {
    outcomes
        .iter()
        .map(|outcome| match &outcome.result {
            Ok(placed) => placed.through.as_str(),
            Err(error) => panic!("{}", told(error)),
        })
        .collect()
}

#[tokio::test]
async fn each_node_of_its_own_gets_a_transfer() {
    let server = server();
    let bytes = noise(1 << 20);
    let wanted = distribution(&LOCAL, Transfer::Upload(source(&bytes)));
    let outcomes = distribute(&client(&server), &wanted, None).await;
    assert_eq!(through(&outcomes), ["pve01", "pve02", "pve03"]);
    assert_eq!(server.count("POST", "/upload"), 3);
    for (node, storage) in LOCAL {
        assert!(read(&server.path(node, storage, "iso", "x.iso")) == bytes);
    }
}

#[tokio::test]
async fn transfers_go_side_by_side() {
    let server = server();
    // None can end before all have begun.
    server.hold_tasks();
    let client = client(&server);
    let wanted = distribution(&LOCAL, Transfer::Upload(source(b"content")));
    let work = distribute(&client, &wanted, None);
    let watch = async {
        crate::support::until("all three are sent", || {
            server.count("POST", "/upload") == 3
        })
        .await;
        server.release_tasks();
    };
    let (outcomes, ()) = tokio::join!(work, watch);
    assert_eq!(through(&outcomes).len(), 3);
}

#[tokio::test]
async fn one_transfer_serves_all_nodes_of_a_shared_storage() {
    let server = server();
    server.lag_listings(2);
    let targets: Vec<_> = SHARED.into_iter().chain(LOCAL).collect();
    let wanted = distribution(&targets, Transfer::Upload(source(b"content")));
    let outcomes = distribute(&client(&server), &wanted, None).await;
    assert_eq!(
        through(&outcomes),
        ["pve01", "pve01", "pve01", "pve01", "pve02", "pve03"]
    );
    let order: Vec<_> = outcomes.iter().map(|outcome| &outcome.target).collect();
    assert_eq!(order, wanted.targets.iter().collect::<Vec<_>>());
    assert_eq!(server.count("POST", "/resources/upload"), 1);
    assert_eq!(server.count("POST", "/local/upload"), 3);
}

#[tokio::test]
async fn a_node_that_is_reached_directly_takes_what_all_share() -> Outcome {
    let server = server();
    let mut settings = settings(&server);
    settings.node_endpoints.retain(|node, _| node == "pve03");
    let client = proxmox::Client::new(settings)?;
    let wanted = distribution(&SHARED, Transfer::Upload(source(b"content")));
    let outcomes = distribute(&client, &wanted, None).await;
    assert_eq!(through(&outcomes), ["pve03", "pve03", "pve03"]);
    Ok(())
}

#[tokio::test]
async fn another_node_takes_over_where_one_cannot() {
    let server = server();
    let gone = Effect::Answer(500, "storage 'resources' is not online".to_owned());
    server.fault(Fault::once("/upload", gone).node("pve01"));
    let wanted = distribution(&SHARED, Transfer::Upload(source(b"content")));
    let outcomes = distribute(&client(&server), &wanted, None).await;
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            outcome
                .result
                .as_ref()
                .map(|placed| placed.through.as_str())
                .ok()
        })
        .collect();
    assert_eq!(told, [None, Some("pve02"), Some("pve02")]);
}

#[tokio::test]
async fn a_node_that_is_down_does_not_stop_the_others() {
    let server = server();
    server.stop_node("pve02");
    let wanted = distribution(&LOCAL, Transfer::Upload(source(b"content")));
    let outcomes = distribute(&client(&server), &wanted, None).await;
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.result.is_ok())
        .collect();
    assert_eq!(told, [true, false, true]);
    // When it is back, only its own transfer is left to do.
    server.start_node("pve02");
    server.forget_calls();
    let rest = distribution(&LOCAL[1..2], wanted.transfer.clone());
    let outcomes = distribute(&client(&server), &rest, None).await;
    assert_eq!(through(&outcomes), ["pve02"]);
}

#[tokio::test]
async fn what_would_fail_everywhere_is_tried_once() {
    let server = server();
    let short = proxmox::Source::new(9, sha256(b"content"), || async {
        Ok(std::io::Cursor::new(b"content"))
    });
    let wanted = distribution(&SHARED, Transfer::Upload(short));
    let outcomes = distribute(&client(&server), &wanted, None).await;
    assert_eq!(outcomes.len(), 3);
    for outcome in &outcomes {
        let error = outcome.result.as_ref().expect_err("it ends early");
        assert!(
            matches!(error.kind(), Kind::Source { .. }),
            "{}",
            told(error)
        );
    }
    assert!(server.count("POST", "/upload") <= 1);
}

#[tokio::test]
async fn nodes_fetch_by_themselves_and_replace_when_asked() -> Outcome {
    let server = server();
    let files = Files::new(b"content").await?;
    server.put("pve02", "local", "iso", "x.iso", b"content")?;
    server.put("pve03", "local", "iso", "x.iso", b"another")?;
    let transfer = Transfer::Download {
        url: files.url("x.iso"),
        sha256: Some(sha256(b"content")),
        compression: None,
        is_certificate_verified: true,
        size_bytes: Some(7),
    };
    let mut wanted = distribution(&LOCAL, transfer);
    wanted.is_replacing = true;
    let outcomes = distribute(&client(&server), &wanted, None).await;
    assert_eq!(through(&outcomes), ["pve01", "pve02", "pve03"]);
    assert_eq!(server.count("DELETE", ""), 1);
    for (node, storage) in LOCAL {
        assert_eq!(
            read(&server.path(node, storage, "iso", "x.iso")),
            b"content"
        );
    }
    Ok(())
}
