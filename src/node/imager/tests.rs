//! Builds that go well, fail in every way, are waited for, cut off, and found again.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
};

use prost::Message;
use tokio_stream::StreamExt;
use tonic::{Request, Status};

use super::{
    engine,
    fake_engine::{GOOD, builder, calls, gated, install, install_as, open},
    place::Place,
    request::BuildId,
};
use crate::{
    failure::Failed,
    proto::{
        BuildImageRequest, BuiltImage, Failure, OciLayout, Outcome, ReadBuildRequest,
        RemoveBuildRequest,
        build_image_event::{Event, Phase},
        build_image_request::Pull,
        failure::Kind,
        node_server::Node,
        read_build_response::Part,
    },
    service::Service,
    test_host::TestHost,
};

const ID: &str = "0123456789abcdef0123456789abcdef";
const ISO: &str = "nocloud-amd64.iso";
const BUILDS: &str = "/var/lib/etcd-node/builds";

fn request() -> BuildImageRequest {
    BuildImageRequest {
        build_id: ID.to_owned(),
        image: "ghcr.io/siderolabs/imager:v1.11.5".to_owned(),
        arguments: ["iso", "--platform", "nocloud"].map(str::to_owned).to_vec(),
        output: ISO.to_owned(),
        space_bytes: 1,
        ..BuildImageRequest::default()
    }
}

fn host() -> TestHost {
    let host = TestHost::new();
    install(&host);
    host
}

fn by<T>(operator: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let operator = operator.parse().expect("plain text");
    request.metadata_mut().insert("x-operator", operator);
    request
}

fn failure(status: &Status) -> Failure {
    assert!(
        !status.details().is_empty(),
        "not the helper's own: {status}"
    );
    Failure::decode(status.details()).expect("a failure")
}

/// All events of a build, and its end.
async fn build(
    service: &Service,
    request: BuildImageRequest,
) -> (Vec<Event>, Result<BuiltImage, Failure>) {
    let stream = service.build_image(by("ops", request)).await;
    let mut stream = stream.expect("a stream").into_inner();
    let mut events = Vec::new();
    while let Some(next) = stream.next().await {
        match next.map(|event| event.event.expect("an event")) {
            Ok(Event::Finished(built)) => return (events, Ok(built)),
            Ok(event) => events.push(event),
            Err(status) => return (events, Err(failure(&status))),
        }
    }
    panic!("the stream ended without a last word: {events:?}");
}

async fn good(host: &TestHost, request: BuildImageRequest) -> BuiltImage {
    let service = Service::new(host.root().clone());
    build(&service, request).await.1.expect("built")
}

#[track_caller]
fn is_clean(host: &TestHost) {
    assert!(!host.exists("/engine/container"), "a container was left");
    let left = fs::read_dir(host.root().at(BUILDS)).map_or(0, Iterator::count);
    assert_eq!(left, 0, "files were left");
}

async fn bad(host: &TestHost, request: BuildImageRequest, kind: Kind) -> Failure {
    let service = Service::new(host.root().clone());
    let failure = build(&service, request).await.1.expect_err("a failure");
    assert_eq!(failure.kind(), kind, "{failure:?}");
    is_clean(host);
    failure
}

async fn read(service: &Service, offset: u64) -> Result<(BuiltImage, Vec<u8>), Failure> {
    let request = ReadBuildRequest {
        build_id: ID.to_owned(),
        offset,
    };
    let stream = service.read_build(Request::new(request)).await;
    let mut stream = stream.map_err(|status| failure(&status))?.into_inner();
    let (mut built, mut bytes) = (None, Vec::new());
    while let Some(next) = stream.next().await {
        match next.expect("a piece").part.expect("a part") {
            Part::Build(facts) => built = Some(facts),
            Part::Chunk(chunk) => bytes.extend_from_slice(&chunk),
        }
    }
    Ok((built.expect("the facts come first"), bytes))
}

async fn remove(service: &Service) -> crate::proto::RemoveBuildResponse {
    let request = RemoveBuildRequest {
        build_id: ID.to_owned(),
    };
    let response = service.remove_build(by("ops", request)).await;
    response.expect("removed").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_tells_how_it_goes_and_is_found_read_and_removed() {
    let host = host();
    let service = Service::new(host.root().clone());
    let (events, built) = build(&service, request()).await;
    let built = built.expect("built");
    assert_eq!(
        events,
        [
            Event::Phase(Phase::Checking.into()),
            Event::Phase(Phase::Pulling.into()),
            Event::Line("aaaaaaaaaaaa: Pulling fs layer".to_owned()),
            Event::Line("bbbbbbbbbbbb: Pulling fs layer".to_owned()),
            Event::Percent(50),
            Event::Line("aaaaaaaaaaaa: Pull complete".to_owned()),
            Event::Percent(100),
            Event::Line("bbbbbbbbbbbb: Pull complete".to_owned()),
            Event::Phase(Phase::Building.into()),
            Event::Line("profile ready: iso --platform nocloud".to_owned()),
            Event::Phase(Phase::Hashing.into()),
        ]
    );
    assert_eq!(built.size_bytes, 5);
    assert_eq!(
        built.sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    assert_eq!((built.engine.as_str(), built.found), ("podman", false));
    assert_eq!(
        (built.image_id.as_str(), built.built_by.as_str()),
        ("0123abcd", "ops")
    );
    let run = host.read("/engine/calls");
    let run = run.lines().last().expect("a run");
    let out = run
        .strip_prefix(&format!(
            "run --rm --name etcd-node-build-{ID} --pull=never -v {}/{ID}/attempt-",
            host.root().at(BUILDS).display()
        ))
        .and_then(|rest| rest.split_once(":/out "))
        .expect("only /out is mounted");
    assert_eq!(
        out.1,
        "ghcr.io/siderolabs/imager:v1.11.5 iso --platform nocloud"
    );
    let mode = |path: &str| {
        let found = fs::metadata(host.root().at(path)).expect("it is there");
        found.permissions().mode() & 0o7777
    };
    assert_eq!(mode(BUILDS), 0o700);
    assert_eq!(mode(&format!("{BUILDS}/{ID}")), 0o700);
    assert_eq!(mode(&format!("{BUILDS}/{ID}/{ISO}")), 0o600);
    assert!(
        host.read("/var/lib/etcd-node/log.jsonl")
            .contains("built nocloud-amd64.iso, 5 bytes")
    );

    let again = build(&service, request()).await.1.expect("found");
    assert_eq!(
        again,
        BuiltImage {
            found: true,
            ..built.clone()
        }
    );
    assert_eq!(calls(&host), ["pull", "run"], "it was built twice");

    let (facts, bytes) = read(&service, 0).await.expect("read");
    assert_eq!((facts, bytes.as_slice()), (again, &b"hello"[..]));
    assert_eq!(read(&service, 3).await.expect("the rest").1, b"lo");
    assert_eq!(read(&service, 5).await.expect("nothing").1, b"");
    let behind = read(&service, 6).await.expect_err("behind the end");
    assert_eq!(behind.kind(), Kind::InvalidRequest);

    let removed = remove(&service).await;
    assert_eq!(removed.outcome(), Outcome::Updated);
    assert!(removed.host_clean && !host.exists("/var/lib/etcd-node"));
    assert_eq!(remove(&service).await.outcome(), Outcome::NotNeeded);
    let gone = read(&service, 0).await.expect_err("gone");
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_pulled_goes_with_the_last_build_that_needs_it() {
    let host = host();
    let service = Service::new(host.root().clone());
    let other = || BuildImageRequest {
        build_id: "fedcba9876543210".to_owned(),
        ..request()
    };
    build(&service, request()).await.1.expect("built");
    build(&service, other()).await.1.expect("built");
    assert_eq!(remove(&service).await.outcome(), Outcome::Updated);
    assert!(host.exists("/engine/image"), "another build needs it");
    let last = RemoveBuildRequest {
        build_id: other().build_id,
    };
    let removed = service.remove_build(by("ops", last)).await;
    assert!(removed.expect("removed").into_inner().host_clean);
    assert!(!host.exists("/engine/image"));
    assert_eq!(calls(&host), ["pull", "run", "run", "image"]);

    // What was there before stays.
    host.write("/engine/image", "");
    build(&service, request()).await.1.expect("built");
    assert!(remove(&service).await.host_clean);
    assert!(host.exists("/engine/image"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_run_is_given_only_when_asked_for() {
    let host = host();
    host.write("/srv/base/oci-layout", "{}");
    host.write("/sys/fs/selinux/enforce", "1");
    builder(&host, "cat >\"$OUT/nocloud-amd64.iso\"\n");
    let layout = OciLayout {
        name: "base".to_owned(),
        path: "/srv/base".to_owned(),
    };
    let all = BuildImageRequest {
        layouts: vec![layout],
        privileged: true,
        standard_input: b"arch: amd64\n".to_vec(),
        arguments: vec!["-".to_owned()],
        ..request()
    };
    let built = good(&host, all).await;
    let shown = fs::read_to_string(built.path).expect("a file");
    assert_eq!(shown, "arch: amd64\n");
    let run = host.read("/engine/calls");
    let run = run.lines().last().expect("a run");
    let base = host.root().at("/srv/base");
    let rest = format!(
        ":/out -v {}:/layouts/base:ro -v /dev:/dev --privileged ghcr.io/siderolabs/imager:v1.11.5 -",
        base.display()
    );
    assert!(
        run.contains("--pull=never --interactive --security-opt=label=disable -v "),
        "{run}"
    );
    assert!(run.ends_with(&rest), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_as_the_policy_says() {
    for (pull, there, wanted) in [
        (Pull::Missing, false, &["pull", "run"][..]),
        (Pull::Missing, true, &["run"]),
        (Pull::Always, true, &["pull", "run"]),
        (Pull::Never, true, &["run"]),
    ] {
        let host = host();
        if there {
            host.write("/engine/image", "");
        }
        let request = BuildImageRequest {
            pull: pull.into(),
            ..request()
        };
        good(&host, request).await;
        assert_eq!(calls(&host), wanted, "{pull:?}, there: {there}");
    }
    let never = BuildImageRequest {
        pull: Pull::Never.into(),
        ..request()
    };
    let failure = bad(&host(), never, Kind::NotFound).await;
    assert!(failure.hint.contains("podman load"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_says_what_failed_and_leaves_nothing() {
    let host = host();
    host.write(
        "/engine/no-pull",
        "Error: initializing source: unauthorized\n",
    );
    let failure = bad(&host, request(), Kind::PullFailed).await;
    assert_eq!(failure.output, ["Error: initializing source: unauthorized"]);
    assert!(failure.hint.contains("podman login"), "{failure:?}");
    host.write(
        "/engine/no-pull",
        "Error: writing blob: no space left on device\n",
    );
    bad(&host, request(), Kind::DiskFull).await;
    fs::remove_file(host.root().at("/engine/no-pull")).expect("a file");

    builder(
        &host,
        "echo one >&2\necho 'Error: no such extension' >&2\n(exit 1)\n",
    );
    let failure = bad(&host, request(), Kind::BuildFailed).await;
    assert_eq!(failure.output, ["one", "Error: no such extension"]);
    assert!(failure.message.contains("status 1"), "{failure:?}");
    builder(
        &host,
        "echo 'write /out/x: no space left on device' >&2\n(exit 1)\n",
    );
    bad(&host, request(), Kind::DiskFull).await;
    builder(&host, "(exit 127)\n");
    bad(&host, request(), Kind::BuildFailed).await;
    builder(&host, "(exit 125)\n");
    bad(&host, request(), Kind::ProgramFailed).await;

    builder(&host, ": >\"$OUT/metal-amd64.iso\"\n: >\"$OUT/cmdline\"\n");
    let failure = bad(&host, request(), Kind::OutputMissing).await;
    assert!(
        failure.message.contains("it made cmdline, metal-amd64.iso"),
        "{failure:?}"
    );
    builder(&host, "ln -s /etc/passwd \"$OUT/nocloud-amd64.iso\"\n");
    bad(&host, request(), Kind::OutputMissing).await;

    let much = BuildImageRequest {
        space_bytes: u64::MAX,
        ..request()
    };
    let runs = calls(&host).len();
    bad(&host, much, Kind::DiskFull).await;
    assert_eq!(calls(&host).len(), runs, "it was begun without room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_killed_is_told_apart_from_one_that_fails() {
    let host = host();
    // What an engine reports of its container, and what happens to the engine's own process.
    for text in ["(exit 137)\n", "kill -9 $$\n"] {
        builder(&host, text);
        let failure = bad(&host, request(), Kind::Killed).await;
        assert!(failure.message.contains("signal 9"), "{failure:?}");
    }
    builder(&host, GOOD);
    good(&host, request()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_without_end_is_ended() {
    let host = host();
    gated(&host, GOOD);
    let short = BuildImageRequest {
        timeout_ms: 300,
        ..request()
    };
    let failure = bad(&host, short, Kind::Deadline).await;
    assert_eq!(failure.output, ["ready"]);
    assert!(calls(&host).contains(&"rm".to_owned()));
}

/// Reads events until the builder says that it is ready.
async fn until_ready(stream: &mut super::Stream) {
    while let Some(event) = stream.next().await {
        let event = event.expect("no failure").event;
        if event == Some(Event::Line("ready".to_owned())) {
            return;
        }
    }
    panic!("the builder never began");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_want_the_same_get_one_build() {
    let host = host();
    let gate = gated(&host, GOOD);
    let first = Service::new(host.root().clone());
    let stream = first.build_image(by("tofu apply by ann", request())).await;
    let mut stream = stream.expect("a stream").into_inner();
    until_ready(&mut stream).await;
    let second = Service::new(host.root().clone());
    let other = second.build_image(by("tofu apply by bob", request())).await;
    let mut other = other.expect("a stream").into_inner();
    let told = other.next().await.expect("an event").expect("no failure");
    assert_eq!(
        told.event,
        Some(Event::WaitingFor("tofu apply by ann".to_owned()))
    );
    tokio::task::spawn_blocking(|| open(gate))
        .await
        .expect("no panic");
    let mut results = Vec::new();
    for stream in [&mut stream, &mut other] {
        while let Some(event) = stream.next().await {
            if let Some(Event::Finished(built)) = event.expect("no failure").event {
                results.push(built);
            }
        }
    }
    let [made, found] = results.as_slice() else {
        panic!("{results:?}");
    };
    assert_eq!((made.found, found.found), (false, true));
    assert_eq!(
        (&made.sha256, &found.built_by),
        (&found.sha256, &made.built_by)
    );
    assert_eq!(calls(&host), ["pull", "run"]);

    // Each has what it was told of until it lets go of it.
    assert!(remove(&first).await.in_use);
    assert_eq!(read(&second, 0).await.expect("still there").1, b"hello");
    assert_eq!(remove(&second).await.outcome(), Outcome::Updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_when_its_caller_goes_away() {
    let host = host();
    let gate = gated(&host, GOOD);
    let service = Service::new(host.root().clone());
    let stream = service.build_image(by("ops", request())).await;
    let mut stream = stream.expect("a stream").into_inner();
    until_ready(&mut stream).await;
    let busy = service.busy();
    drop(stream);
    drop(service);
    tokio::task::spawn_blocking(|| open(gate))
        .await
        .expect("no panic");
    busy.idle().await;
    assert!(good(&host, request()).await.found);
    assert_eq!(calls(&host), ["pull", "run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_helper_left_is_cleared_and_begun_again() {
    let host = host();
    let place = Place::new(host.root(), BuildId::new(ID).expect("hex"));
    // Half a file under the right name, and a container that still runs.
    let out = place.begin(host.root(), "podman", "dead").expect("begun");
    fs::write(out.join(ISO), "hel").expect("half a file");
    let mut orphan = tokio::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    let number = orphan.id().expect("it runs").to_string();
    host.write("/engine/container", &number);
    // The same of another build, that nobody asks for again.
    let other = Place::new(host.root(), BuildId::new("fedcba9876543210").expect("hex"));
    other.begin(host.root(), "docker", "dead").expect("begun");

    let service = Service::new(host.root().clone());
    assert_eq!(
        read(&service, 0).await.expect_err("half").kind(),
        Kind::NotFound
    );
    let built = build(&service, request()).await.1.expect("built");
    assert_eq!((built.size_bytes, built.found), (5, false));
    assert_eq!(calls(&host), ["kill", "rm", "pull", "run"]);
    assert_eq!(orphan.wait().await.expect("it ended").signal(), Some(9));
    assert!(!out.exists() && !other.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_is_no_build() {
    let host = host();
    let built = good(&host, request()).await;
    fs::write(&built.path, "jello").expect("a writable file");
    assert!(!good(&host, request()).await.found);
    // The same bytes in another file are one.
    let copy = format!("{}.copy", built.path);
    fs::copy(&built.path, &copy).expect("a copy");
    fs::rename(&copy, &built.path).expect("its place");
    assert!(good(&host, request()).await.found);
    fs::remove_file(&built.path).expect("a file");
    assert!(!good(&host, request()).await.found);
    assert_eq!(calls(&host), ["pull", "run", "run", "run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_stands_for_two_wishes_is_a_defect() {
    let host = host();
    good(&host, request()).await;
    let other = BuildImageRequest {
        output: "metal-amd64.iso".to_owned(),
        ..request()
    };
    let service = Service::new(host.root().clone());
    let failure = build(&service, other).await.1.expect_err("another file");
    assert_eq!(failure.kind(), Kind::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_three_builds_stay_and_those_that_somebody_needs() {
    let host = host();
    let id = |number: u32| format!("{number:016x}");
    let make = |number: u32| BuildImageRequest {
        build_id: id(number),
        ..request()
    };
    let there = |numbers: std::ops::RangeInclusive<u32>| -> Vec<u32> {
        numbers
            .filter(|number| host.exists(&format!("{BUILDS}/{}/{ISO}", id(*number))))
            .collect()
    };
    for number in 1..=4 {
        good(&host, make(number)).await;
    }
    assert_eq!(there(1..=4), [2, 3, 4]);
    // The oldest is asked for again, by somebody who stays.
    let service = Service::new(host.root().clone());
    assert!(build(&service, make(2)).await.1.expect("found").found);
    for number in 5..=8 {
        good(&host, make(number)).await;
    }
    assert_eq!(there(1..=8), [2, 6, 7, 8]);
    drop(service);
    good(&host, make(9)).await;
    assert_eq!(there(1..=9), [7, 8, 9]);
}

fn unusable(host: &TestHost, wanted: &str) -> Failed {
    let failed = engine::probe(host.root(), wanted).expect_err("no engine");
    assert_eq!(failed.0.kind(), Kind::EngineUnavailable, "{failed}");
    assert!(!failed.0.hint.is_empty());
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_found_or_the_reason_is_told() {
    let task = tokio::task::spawn_blocking(|| {
        let host = TestHost::new();
        let failed = unusable(&host, "");
        assert_eq!(failed.to_string(), "neither podman nor docker is installed");
        let invalid = engine::probe(host.root(), "lxc").expect_err("no such engine");
        assert_eq!(invalid.0.kind(), Kind::InvalidRequest);

        install_as(&host, "docker");
        // podman under docker's name, as the package podman-docker has it.
        let found = engine::probe(host.root(), "").expect("docker is there");
        assert_eq!(
            (found.engine.as_str(), found.version.as_str()),
            ("docker", "5.4.2")
        );
        assert!(found.path.ends_with("/usr/local/bin/docker") && found.free_bytes > 0);
        assert_eq!(
            unusable(&host, "podman").to_string(),
            "podman is not installed"
        );

        host.write("/engine/version", "Docker version 28.5.2, build 1234567\n");
        for (said, told) in [
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                "its daemon does not run",
            ),
            (
                "permission denied while trying to connect to the Docker daemon socket",
                "may not be used",
            ),
            ("Error: default OCI runtime not found", "does not work"),
        ] {
            host.write("/engine/broken", said);
            for wanted in ["", "docker"] {
                let failed = unusable(&host, wanted);
                assert!(failed.to_string().contains(told), "{failed}");
                assert_eq!(failed.0.output, [said]);
            }
        }
        // A build says the same.
        host
    });
    let host = task.await.expect("no panic");
    bad(&host, request(), Kind::EngineUnavailable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_a_builder_prints_are_not_told() {
    let host = host();
    let text = "echo 'talos.config=https://ops:hunter2@c.example/' >&2\necho 'token: hunter2' >&2\n(exit 1)\n";
    builder(&host, text);
    let service = Service::new(host.root().clone());
    let (events, result) = build(&service, request()).await;
    let told = format!("{events:?} {result:?}");
    assert!(
        told.contains("c.example") && !told.contains("hunter2"),
        "{told}"
    );
}
