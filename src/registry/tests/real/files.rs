//! What lies on this machine: read as it is, refused with words.

use std::fs;

use registry::{Error, Image, NoImage, media_type};

use crate::site::{Archive, layers};

#[tokio::test]
async fn the_same_archive_has_the_same_digest() {
    let (one, again) = (Archive::of("one"), Archive::of("one"));
    let (one, again) = (one.image().await, again.image().await);
    assert_eq!(one.digest(), again.digest());
    assert_eq!(
        one.digest().to_string(),
        "sha256:c2989c3944b8b6a9c70e99ca41f789a6ba118693f616036624bebd67bf8a34fb"
    );
    assert_eq!(one.manifest().media_type, media_type::MANIFEST);
    let other = Archive::of("other");
    assert_ne!(other.image().await.digest(), one.digest());
}

#[tokio::test]
async fn a_layout_is_the_same_as_a_directory_and_as_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let layout = directory.path().join("layout");
    registries::layout(&layout, &[("amd64", &layers("one"))]);
    let from_directory = Image::open(&layout).await.expect("a layout");
    let path = directory.path().join("layout.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).expect("a file"));
    tar.append_dir_all(".", &layout).expect("written");
    tar.finish().expect("written");
    let from_file = Image::open(&path).await.expect("a layout");
    assert_eq!(from_file.digest(), from_directory.digest());
    assert_eq!(from_file.size_bytes(), from_directory.size_bytes());
}

async fn refusal(path: &std::path::Path) -> NoImage {
    match Image::open(path).await {
        Err(Error::Image(refusal)) => refusal,
        Err(error) => panic!("{error}"),
        Ok(image) => panic!("it is an image: {}", image.digest()),
    }
}

#[tokio::test]
async fn refuses_what_is_no_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.tar");
    assert!(matches!(refusal(&path).await, NoImage::Read { .. }));
    fs::write(&path, b"\x1f\x8b\x08").expect("written");
    assert!(matches!(refusal(&path).await, NoImage::Compressed { .. }));
    fs::write(&path, [0; 1024]).expect("written");
    let error = refusal(&path).await;
    assert!(matches!(error, NoImage::Neither { .. }), "{error}");
    let error = refusal(directory.path()).await;
    assert!(matches!(error, NoImage::Neither { .. }), "{error}");
}

#[tokio::test]
async fn finds_a_damaged_layer() {
    let archive = Archive::of("one");
    let mut bytes = fs::read(archive.path()).expect("our own archive");
    let layer = &layers("one")[0].compressed;
    let start = bytes
        .windows(layer.len())
        .position(|window| window == layer)
        .expect("the layer is in it");
    bytes[start + layer.len() - 1] ^= 1;
    fs::write(archive.path(), &bytes).expect("written");
    let error = refusal(&archive.path()).await;
    assert!(matches!(error, NoImage::Damaged { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains(".tar.gz"), "{error}");
    bytes.truncate(start + 10);
    fs::write(archive.path(), &bytes).expect("written");
    let error = refusal(&archive.path()).await;
    assert!(
        matches!(error, NoImage::Read { .. } | NoImage::Neither { .. }),
        "{error}"
    );
}
