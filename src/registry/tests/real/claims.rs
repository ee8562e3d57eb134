//! Claims: one at work, the others know who.

use std::time::Duration;

use registries::{Options, RegistryServer};
use registry::{Claim, Claimant, Claimed, Progress, Registries};

use crate::site::{Archive, anonymous, open, tag};

fn claimant(name: &str, life: u64) -> Claimant {
    Claimant {
        name: name.to_owned(),
        nonce: format!("nonce of {name}"),
        life: Duration::from_secs(life),
    }
}

async fn held(registries: &Registries, tag: &registry::Reference, claimant: Claimant) -> Claim {
    match registries.claim(tag, claimant).await.expect("an answer") {
        Claimed::Held(claim) => claim,
        Claimed::Taken(holder) => panic!("{holder:?} has it"),
    }
}

#[tokio::test]
async fn the_second_learns_who_is_at_work() {
    let server = open().await;
    let registries = anonymous();
    let tag = tag(server.host(), "x/images:claim-v1");
    assert_eq!(registries.holder(&tag).await.expect("an answer"), None);
    let mut claim = held(&registries, &tag, claimant("one", 600)).await;
    let second = registries.claim(&tag, claimant("two", 600)).await;
    let Claimed::Taken(holder) = second.expect("an answer") else {
        panic!("the first has it");
    };
    assert_eq!(holder.name, "one");
    assert_eq!((holder.until - holder.since).whole_seconds(), 600);
    assert_eq!(claim.renew().await.expect("an answer"), None);
    claim.release().await.expect("released");
    assert_eq!(registries.holder(&tag).await.expect("an answer"), None);
    held(&registries, &tag, claimant("two", 600)).await;
}

#[tokio::test]
async fn of_two_at_once_one_has_it() {
    let server = open().await;
    let registries = anonymous();
    let tag = tag(server.host(), "x/images:claim-v1");
    let (one, two) = tokio::join!(
        registries.claim(&tag, claimant("one", 600)),
        registries.claim(&tag, claimant("two", 600)),
    );
    let claims = [one.expect("an answer"), two.expect("an answer")];
    let held = claims
        .iter()
        .filter(|claimed| matches!(claimed, Claimed::Held(_)));
    assert_eq!(held.count(), 1, "{claims:?}");
}

#[tokio::test]
async fn a_claim_that_is_over_stands_in_nobodys_way() {
    let server = open().await;
    let registries = anonymous();
    let tag = tag(server.host(), "x/images:claim-v1");
    let mut lost = held(&registries, &tag, claimant("killed", 0)).await;
    held(&registries, &tag, claimant("next", 600)).await;
    let renewed = lost.renew().await.expect("an answer");
    assert_eq!(renewed.map(|holder| holder.name).as_deref(), Some("next"));
}

#[tokio::test]
async fn a_released_claim_is_removed_where_that_is_possible() {
    let options = Options {
        allows_delete: true,
        ..Options::default()
    };
    let server = RegistryServer::start(options).await;
    let registries = anonymous();
    let tag = tag(server.host(), "x/images:claim-v1");
    let claim = held(&registries, &tag, claimant("one", 600)).await;
    claim.release().await.expect("released");
    assert_eq!(registries.look(&tag).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_tag_with_something_else_is_not_claimed() {
    let server = open().await;
    let registries = anonymous();
    let tag = tag(server.host(), "x/images:v1");
    let archive = Archive::of("one");
    let image = archive.image().await;
    registries
        .push(&image, &tag, false, &Progress::silent())
        .await
        .expect("made");
    let error = registries.claim(&tag, claimant("one", 600)).await;
    let error = error.expect_err("it is no claim").to_string();
    assert!(error.contains("no claim"), "{error}");
    let found = registries.look(&tag).await.expect("an answer");
    assert_eq!(found.expect("it is there").digest, image.digest());
}
