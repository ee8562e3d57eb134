//! The real factory answers as it should, and the front where the real one cannot.

use registries::{Catalog, Factory, Fault};
use registry::{Digest, Keychain, Registries, Settings};
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use serde_json::{Value, json};

/// Id of the schematic without any wish, as Talos' documentation prints it.
const VANILLA: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("the usual settings are right")
}

async fn post(factory: &Factory, text: &str) -> (StatusCode, String) {
    let url = format!("{}/schematics", factory.url());
    let said = client().post(url).body(text.to_owned()).send().await;
    read(said.expect("it answers")).await
}

async fn get(factory: &Factory, path: &str) -> (StatusCode, String) {
    read(response(factory, path).await).await
}

async fn response(factory: &Factory, path: &str) -> Response {
    let said = client().get(format!("{}{path}", factory.url())).send();
    said.await.expect("it answers")
}

async fn read(said: Response) -> (StatusCode, String) {
    (said.status(), said.text().await.expect("a text"))
}

#[tokio::test]
async fn keeps_schematics_under_known_ids() {
    let factory = Factory::start(&Catalog::default()).await;
    let (status, text) = post(&factory, "customization: {}\n").await;
    assert_eq!(status, StatusCode::CREATED, "{text}: {}", factory.said());
    let said: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(said, json!({"id": VANILLA}));
    let agent =
        "customization: {systemExtensions: {officialExtensions: [siderolabs/qemu-guest-agent]}}";
    let (_, text) = post(&factory, agent).await;
    assert!(text.contains("ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515"));
    let (status, text) = get(&factory, &format!("/schematics/{VANILLA}")).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "customization: {}\n")
    );
    let (status, text) = get(&factory, &format!("/schematics/{}", Digest::of(b"").hex())).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{text}");
    let (status, text) = post(&factory, "customisation: {}\n").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("field customisation not found"), "{text}");
}

#[tokio::test]
async fn offers_what_the_catalog_says() {
    let factory = Factory::start(&Catalog::default()).await;
    let (_, text) = get(&factory, "/versions").await;
    let versions: Vec<String> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(versions[0], "v1.10.7");
    assert_eq!(versions.last().map(String::as_str), Some("v1.12.1"));
    for version in ["v1.11.5", "1.11.5"] {
        let path = format!("/version/{version}/extensions/official");
        let (status, text) = get(&factory, &path).await;
        assert_eq!(status, StatusCode::OK, "{text}: {}", factory.said());
        let offered: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let agent = offered
            .iter()
            .find(|offered| offered["name"] == "siderolabs/qemu-guest-agent")
            .expect("the agent is offered");
        assert_eq!(agent["ref"], "ghcr.io/siderolabs/qemu-guest-agent:10.0.2");
        assert_eq!(agent["author"], "Tests");
    }
    let (_, text) = get(&factory, "/version/v1.12.0/overlays/official").await;
    assert!(text.contains("rpi_generic"), "{text}");
    let (status, text) = get(&factory, "/version/v1.9.9/extensions/official").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{text}");
    let (status, text) = get(&factory, "/version/latest/extensions/official").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
}

#[tokio::test]
async fn refuses_images_as_the_real_one_does() {
    let factory = Factory::start(&Catalog::default()).await;
    post(&factory, "customization: {}\n").await;
    let status = async |path: String| get(&factory, &format!("/image/{path}")).await;
    let nobody = Digest::of(b"").hex();
    let (is, text) = status(format!("{nobody}/v1.11.5/nocloud-amd64.iso")).await;
    assert_eq!(
        (is, text.as_str()),
        (
            StatusCode::NOT_FOUND,
            format!("schematic ID \"{nobody}\" not found\n").as_str()
        )
    );
    let (is, text) = status(format!("{VANILLA}/v1.9.9/nocloud-amd64.iso")).await;
    assert_eq!(is, StatusCode::NOT_FOUND, "{text}");
    let (is, text) = status(format!("{VANILLA}/latest/nocloud-amd64.iso")).await;
    assert_eq!(is, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
    for path in [
        "nocloud-riscv.iso",
        "nocloud-amd64.floppy",
        "nocloud-amd64.iso.sha256",
    ] {
        let (is, text) = status(format!("{VANILLA}/v1.11.5/{path}")).await;
        assert_eq!(is, StatusCode::BAD_REQUEST, "{path}: {text}");
    }
    let unknown = "customization: {systemExtensions: {officialExtensions: [siderolabs/nothing]}}";
    let (_, text) = post(&factory, unknown).await;
    let said: Value = serde_json::from_str(&text).expect("JSON");
    let id = said["id"].as_str().expect("an id");
    let (is, text) = status(format!("{id}/v1.11.5/nocloud-amd64.iso")).await;
    assert_eq!(is, StatusCode::BAD_REQUEST, "{text}");
    assert!(text.contains("siderolabs/nothing"), "{text}");
    assert!(factory.front().builds().is_empty());
}

#[tokio::test]
async fn gives_images_built_once() {
    let factory = Factory::start(&Catalog::default()).await;
    post(&factory, "customization: {}\n").await;
    let front = factory.front();
    let path = format!("/image/{VANILLA}/v1.11.5/nocloud-amd64.iso");
    front.hold();
    let mut first = Box::pin(client().head(format!("{}{path}", factory.url())).send());
    tokio::select! {
        _ = &mut first => panic!("the build is held"),
        () = async {
            while front.requests().len() < 2 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    drop(first);
    assert!(front.builds().is_empty());
    front.release();
    let said = response(&factory, &format!("{path}?filename=x.iso")).await;
    assert_eq!(said.status(), StatusCode::OK, "{}", factory.said());
    let disposition = said.headers()["content-disposition"].to_str();
    assert_eq!(disposition.expect("text"), "attachment; filename=\"x.iso\"");
    assert_eq!(said.content_length(), Some(1024 * 1024));
    let bytes = said.bytes().await.expect("all of it");
    let image = front.image(VANILLA, "v1.11.5", "nocloud-amd64.iso");
    assert_eq!(Digest::of(&bytes), image.digest());
    assert_eq!(
        front.builds(),
        [format!("{VANILLA}/v1.11.5/nocloud-amd64.iso")]
    );
}

#[tokio::test]
async fn fails_as_told() {
    let factory = Factory::start(&Catalog::default()).await;
    post(&factory, "customization: {}\n").await;
    let front = factory.front();
    let path = format!("/image/{VANILLA}/v1.11.5/metal-amd64.iso");
    front.fail([Fault::Status(503), Fault::CutAfter(200_000)]);
    let (status, _) = get(&factory, &path).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let cut = response(&factory, &path).await;
    assert_eq!(cut.status(), StatusCode::OK);
    assert!(cut.bytes().await.is_err(), "it breaks");
    front.set_redirects(true);
    let said = response(&factory, &path).await;
    assert_eq!(said.status(), StatusCode::FOUND);
    let place = said.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(place.starts_with("http://localhost:"), "{place}");
    let stored = client().get(place).send().await.expect("it answers");
    let bytes = stored.bytes().await.expect("all of it");
    let image = front.image(VANILLA, "v1.11.5", "metal-amd64.iso");
    assert_eq!(Digest::of(&bytes), image.digest());
}

#[tokio::test]
async fn serves_installers_that_its_key_has_signed() {
    let factory = Factory::start(&Catalog::default()).await;
    post(&factory, "customization: {}\n").await;
    let registries = Registries::new(Settings {
        keychain: Keychain::anonymous(),
        ..Settings::default()
    })
    .expect("the usual settings are right");
    let at = |image: &str, id: &str, version: &str| {
        let text = format!("{}/{image}/{id}:{version}", factory.host());
        text.parse().expect("a reference")
    };
    let tag = at("nocloud-installer", VANILLA, "v1.11.5");
    let found = registries.look(&tag).await.expect("it answers");
    let found = found.unwrap_or_else(|| panic!("it is there: {}", factory.said()));
    let index = registries
        .read(&tag)
        .await
        .expect("it answers")
        .expect("it is there");
    assert_eq!(index.digest(), found.digest);
    assert_eq!(
        factory.front().builds(),
        [format!("nocloud-installer/{VANILLA}/v1.11.5")]
    );
    // Not the front, the real one: it has looked at the signature, and passed the digest on to its registry.
    assert!(
        factory.said().contains("proxying manifest/blob"),
        "{}",
        factory.said()
    );
    let wrong = registries.look(&at("wrong", VANILLA, "v1.11.5")).await;
    assert!(wrong.expect_err("a wrong name").to_string().contains("400"));
    let nobody = Digest::of(b"").hex();
    let absent = registries
        .look(&at("nocloud-installer", &nobody, "v1.11.5"))
        .await;
    assert_eq!(absent.expect("it answers"), None);
}

#[tokio::test]
async fn gives_schematics_an_owner_where_a_login_is_wanted() {
    let factory = Factory::start(&Catalog::default()).await;
    let login = "Bearer token-of-the-lab";
    factory.front().require_login(login);
    let (status, _) = post(&factory, "customization: {}\n").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let url = format!("{}/schematics", factory.url());
    let said = client().post(url).header("authorization", login);
    let said = said.body("customization: {}\n").send().await;
    let (_, text) = read(said.expect("it answers")).await;
    let said: Value = serde_json::from_str(&text).expect("JSON");
    let id = said["id"].as_str().expect("an id");
    assert_ne!(id, VANILLA);
    assert_eq!(said["schematic"], "owner: lab\ncustomization: {}\n");
    let url = format!("{}/image/{id}/v1.11.5/nocloud-amd64.iso", factory.url());
    let said = client().head(url).header("authorization", login).send();
    assert_eq!(said.await.expect("it answers").status(), StatusCode::OK);
}
