//! Images are built in containers of the real podman: whole, once, and again after anything dies.

use lab::Release;
use tonic::{Status, Streaming};

use crate::{
    builder::{GATE, IMAGE, SIZE, containers, hold, up},
    proto::{
        BuildImageEvent, BuildImageRequest, BuiltImage, Failure, OciLayout, Outcome,
        ProbeEngineRequest, ReadBuildRequest, RemoveBuildRequest,
        build_image_event::{Event, Phase},
        build_image_request::Pull,
        failure::Kind,
        read_build_response::Part,
    },
    station::{Node, Station, failure, refused, until},
};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ISO: &str = "nocloud-amd64.iso";

/// Largest resident size of a helper that sends a build, in KiB.
const MEMORY_KIB: u64 = 64 << 10;

fn request() -> BuildImageRequest {
    BuildImageRequest {
        build_id: ID.to_owned(),
        image: IMAGE.to_owned(),
        arguments: ["iso", "--platform", "nocloud"].map(str::to_owned).to_vec(),
        output: ISO.to_owned(),
        pull: Pull::Never.into(),
        ..BuildImageRequest::default()
    }
}

/// One that waits at the gate.
fn gated() -> BuildImageRequest {
    let layout = OciLayout {
        name: "gate".to_owned(),
        path: GATE.to_owned(),
    };
    BuildImageRequest {
        layouts: vec![layout],
        ..request()
    }
}

async fn begin(node: &mut Node, request: BuildImageRequest) -> Streaming<BuildImageEvent> {
    node.build_image(request)
        .await
        .expect("a stream")
        .into_inner()
}

/// Reads events up to the one that is wanted; the others are answered.
async fn up_to(stream: &mut Streaming<BuildImageEvent>, wanted: &Event) -> Vec<Event> {
    let mut before = Vec::new();
    loop {
        let event = stream.message().await.expect("no failure");
        let event = event.expect("the wanted one comes").event;
        match event.expect("an event") {
            event if event == *wanted => return before,
            event => before.push(event),
        }
    }
}

async fn end(mut stream: Streaming<BuildImageEvent>) -> Result<(Vec<Event>, BuiltImage), Status> {
    let mut events = Vec::new();
    while let Some(event) = stream.message().await? {
        match event.event.expect("an event") {
            Event::Finished(built) => return Ok((events, built)),
            event => events.push(event),
        }
    }
    panic!("the stream ended without a last word: {events:?}");
}

async fn build(
    node: &mut Node,
    request: BuildImageRequest,
) -> Result<(Vec<Event>, BuiltImage), Failure> {
    end(begin(node, request).await)
        .await
        .map_err(|status| failure(&status))
}

async fn fails(station: &mut Station, request: BuildImageRequest, kind: Kind) -> Failure {
    let failed = build(&mut station.node, request)
        .await
        .expect_err("a failure");
    assert_eq!(failed.kind(), kind, "{failed:?}");
    assert!(containers(station).is_empty(), "a container was left");
    let find = "find /var/lib/etcd-node/builds -mindepth 1 2>/dev/null || :";
    let left = station.root(&["sh", "-c", find]);
    assert_eq!(left, "", "files were left");
    failed
}

/// One of an image that is nowhere.
fn absent() -> BuildImageRequest {
    BuildImageRequest {
        image: "registry.internal/stand-in/imager:v9".to_owned(),
        ..request()
    }
}

/// Each release of podman says in its own words that it does not have an image or a container.
async fn absent_is_told(station: &mut Station) {
    fails(station, absent(), Kind::NotFound).await;
}

/// What is read from `offset`, and what it is.
async fn read(node: &mut Node, offset: u64) -> (Vec<u8>, BuiltImage) {
    let request = ReadBuildRequest {
        build_id: ID.to_owned(),
        offset,
    };
    let mut stream = node
        .read_build(request)
        .await
        .expect("a stream")
        .into_inner();
    let (mut bytes, mut facts) = (Vec::new(), None);
    while let Some(message) = stream.message().await.expect("no failure") {
        match message.part.expect("a part") {
            Part::Build(build) => facts = Some(build),
            Part::Chunk(chunk) => bytes.extend(chunk),
        }
    }
    (bytes, facts.expect("the facts come first"))
}

#[tokio::test]
async fn an_image_is_built_read_and_removed() {
    let mut station = up("imaging", Release::Bullseye).await;
    absent_is_told(&mut station).await;
    let probed = station
        .node
        .probe_engine(ProbeEngineRequest::default())
        .await;
    let probed = probed.expect("podman is there").into_inner();
    assert_eq!(
        (probed.engine.as_str(), probed.path.as_str()),
        ("podman", "/usr/bin/podman")
    );
    let said = station.root(&["podman", "--version"]);
    assert_eq!(said, format!("podman version {}", probed.version));

    let (events, built) = build(&mut station.node, request()).await.expect("built");
    assert_eq!(events[0], Event::Phase(Phase::Checking.into()));
    assert_eq!(events[1], Event::Phase(Phase::Building.into()));
    let line = |text: &str| Event::Line(text.to_owned());
    assert!(events.contains(&line("platform: nocloud")), "{events:?}");
    let mounts = events.iter().find_map(|event| match event {
        Event::Line(text) => text.strip_prefix("mounts: "),
        _ => None,
    });
    let mounts: Vec<&str> = mounts.expect("it says its mounts").split(' ').collect();
    assert!(mounts.contains(&"/out"), "{mounts:?}");
    assert!(
        !mounts
            .iter()
            .any(|path| path.contains("docker") || path.starts_with("/layouts"))
    );
    assert_eq!(events.last(), Some(&Event::Phase(Phase::Hashing.into())));
    assert_eq!((built.size_bytes, built.found), (SIZE, false));
    assert_eq!(
        built.image_id,
        station.root(&["podman", "image", "inspect", "--format", "{{.Id}}", IMAGE])
    );
    let sum = station.root(&["sha256sum", &built.path]);
    assert!(sum.starts_with(&built.sha256), "{sum}");
    assert!(containers(&station).is_empty());
    let (again, found) = build(&mut station.node, request()).await.expect("found");
    assert!(found.found && again.len() == 1, "{again:?}");

    let (bytes, facts) = read(&mut station.node, 0).await;
    assert_eq!((bytes.len() as u64, &facts.sha256), (SIZE, &built.sha256));
    let (rest, _) = read(&mut station.node, SIZE - 12345).await;
    assert_eq!(rest, bytes[bytes.len() - 12345..]);
    let middle = SIZE / 2;
    let sent = format!(
        "tail -c +{} {} | cmp -n 4096 - /root/piece",
        middle + 1,
        built.path
    );
    let place = station.file("/root/piece");
    let at = usize::try_from(middle).expect("it is in memory");
    std::fs::write(place, &bytes[at..at + 4096]).expect("a file on the host");
    station.root(&["sh", "-ceu", &sent]);
    let status = station.root(&["sh", "-c", "cat /proc/$(pidof etcd-node)/status"]);
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok())
        .expect("the peak is told");
    assert!(peak < MEMORY_KIB, "{peak} KiB");

    let remove = RemoveBuildRequest {
        build_id: ID.to_owned(),
    };
    let removed = station
        .node
        .remove_build(remove)
        .await
        .expect("removed")
        .into_inner();
    assert_eq!(removed.outcome(), Outcome::Updated);
    assert!(removed.host_clean);
    station.root(&["test", "!", "-e", "/var/lib/etcd-node"]);
    let request = ReadBuildRequest {
        build_id: ID.to_owned(),
        offset: 0,
    };
    refused(Kind::NotFound, station.node.read_build(request).await);
    station.down();
}

#[tokio::test]
async fn what_the_engine_and_the_builder_refuse_is_told() {
    let mut station = up("refusing", Release::Trixie).await;
    let arguments = |words: &[&str]| BuildImageRequest {
        arguments: words.iter().map(|word| (*word).to_owned()).collect(),
        ..request()
    };
    let failed = fails(
        &mut station,
        arguments(&["iso", "--system-extension-image", "ghcr.io/absent/frr:v1"]),
        Kind::BuildFailed,
    )
    .await;
    // podman 5 warns of old control groups before.
    assert_eq!(
        failed.output.last().map(String::as_str),
        Some("Error: error pulling ghcr.io/absent/frr:v1: no route to host")
    );
    let failed = fails(&mut station, arguments(&["iso"]), Kind::OutputMissing).await;
    assert!(
        failed.message.ends_with("it made metal-amd64.iso"),
        "{failed:?}"
    );
    absent_is_told(&mut station).await;
    let absent = BuildImageRequest {
        pull: Pull::Missing.into(),
        ..absent()
    };
    let failed = fails(&mut station, absent, Kind::PullFailed).await;
    assert!(
        failed.output.join(" ").contains("registry.internal"),
        "{failed:?}"
    );

    // The same build by a profile on standard input, with a layout.
    let profile = BuildImageRequest {
        arguments: vec!["-".to_owned()],
        standard_input: br#"{"baseProfileName":"iso","platform":"nocloud","arch":"amd64","input":{"systemExtensions":[{"ociPath":"/layouts/gate"}]}}"#.to_vec(),
        ..gated()
    };
    let (_, built) = build(&mut station.node, profile).await.expect("built");
    assert_eq!(built.size_bytes, SIZE);
    let missing = ProbeEngineRequest {
        engine: "docker".to_owned(),
    };
    refused(
        Kind::EngineUnavailable,
        station.node.probe_engine(missing).await,
    );
    station.down();
}

#[tokio::test]
async fn a_build_outlives_its_caller_and_begins_again_after_its_host() {
    let mut station = up("cutting", Release::Bookworm).await;
    absent_is_told(&mut station).await;
    let half = Event::Percent(50);
    let name = format!("etcd-node-build-{ID}");

    // The connection is cut: the helper finishes what it does.
    hold(&station, true);
    let mut stream = begin(&mut station.node, gated()).await;
    up_to(&mut stream, &half).await;
    station.reconnect().await;
    let mut second = begin(&mut station.node, gated()).await;
    let waiting = second
        .message()
        .await
        .expect("no failure")
        .expect("an event")
        .event;
    assert_eq!(waiting, Some(Event::WaitingFor("unknown".to_owned())));
    hold(&station, false);
    let (_, built) = end(second).await.expect("found");
    assert!(built.found && built.size_bytes == SIZE);
    remove(&mut station).await;

    // The container is killed.
    hold(&station, true);
    let mut stream = begin(&mut station.node, gated()).await;
    up_to(&mut stream, &half).await;
    station.root(&["podman", "kill", &name]);
    let failed = failure(&end(stream).await.expect_err("killed"));
    assert_eq!(failed.kind(), Kind::Killed, "{failed:?}");
    assert!(containers(&station).is_empty());

    // The helper is killed: its container runs on and is removed by the next.
    let mut stream = begin(&mut station.node, gated()).await;
    up_to(&mut stream, &half).await;
    let before = station.root(&[
        "podman",
        "container",
        "inspect",
        "--format",
        "{{.Id}}",
        &name,
    ]);
    station.root(&["sh", "-c", "kill -9 $(pidof etcd-node)"]);
    assert!(end(stream).await.is_err());
    station.reconnect().await;
    assert_eq!(containers(&station), std::slice::from_ref(&name));
    let mut stream = begin(&mut station.node, gated()).await;
    up_to(&mut stream, &half).await;
    let after = station.root(&[
        "podman",
        "container",
        "inspect",
        "--format",
        "{{.Id}}",
        &name,
    ]);
    assert_ne!(before, after);

    // The host dies.
    station.power_cycle().await;
    drop(stream);
    let read = ReadBuildRequest {
        build_id: ID.to_owned(),
        offset: 0,
    };
    refused(Kind::NotFound, station.node.read_build(read).await);
    hold(&station, false);
    let (_, built) = build(&mut station.node, gated()).await.expect("built");
    assert_eq!((built.size_bytes, built.found), (SIZE, false));
    until("no container is left", async || {
        containers(&station).is_empty().then_some(())
    })
    .await;
    let kept = station.root(&["ls", &format!("/var/lib/etcd-node/builds/{ID}")]);
    assert_eq!(kept, format!("manifest.json\n{ISO}\nused"));
    station.down();
}

async fn remove(station: &mut Station) {
    let request = RemoveBuildRequest {
        build_id: ID.to_owned(),
    };
    // The helper of the first connection may not have ended yet, and keeps its claim so long.
    until("nobody needs it", async || {
        let removed = station.node.remove_build(request.clone()).await;
        let removed = removed.expect("removed").into_inner();
        (!removed.in_use).then_some(())
    })
    .await;
}
