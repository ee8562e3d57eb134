use super::*;

const ID: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

fn variant(version: &str, platform: &str, secure_boot: bool) -> Variant {
    Variant {
        version: TalosVersion::parse(version).expect("a version"),
        platform: platform.to_owned(),
        architecture: Architecture::Amd64,
        secure_boot,
    }
}

fn id() -> SchematicId {
    SchematicId::parse(ID).expect("an id")
}

#[test]
fn names_images_at_the_factory() {
    let plain = variant("v1.11.5", "nocloud", false);
    let secure = variant("v1.11.5", "metal", true);
    for (variant, format, path) in [
        (&plain, Format::Iso, "nocloud-amd64.iso"),
        (&plain, Format::Qcow2, "nocloud-amd64.qcow2"),
        (&plain, Format::Raw, "nocloud-amd64.raw.zst"),
        (&secure, Format::Iso, "metal-amd64-secureboot.iso"),
    ] {
        let expected = format!("/image/{ID}/v1.11.5/{path}");
        assert_eq!(variant.image_path(&id(), format), expected);
    }
    assert_eq!(
        plain.file_name(id().short(), Format::Iso),
        "talos-v1.11.5-nocloud-amd64-37656798.iso"
    );
    assert_eq!(
        secure.file_name(id().short(), Format::Raw),
        "talos-v1.11.5-metal-amd64-secureboot-37656798.raw"
    );
}

#[test]
fn names_installers_by_platform_from_1_10_on() {
    let factory = FactoryUrl::parse("https://factory.talos.dev/").expect("a URL");
    for (version, platform, secure_boot, image) in [
        ("v1.11.5", "nocloud", false, "nocloud-installer"),
        ("v1.11.5", "metal", true, "metal-installer-secureboot"),
        ("v1.10.0-alpha.1", "nocloud", false, "nocloud-installer"),
        ("v1.9.5", "nocloud", false, "installer"),
        ("v1.9.5", "metal", true, "installer-secureboot"),
    ] {
        let parsed = TalosVersion::parse(version).expect("a version");
        assert_eq!(
            factory_installer(&factory, &id(), &parsed, platform, secure_boot),
            format!("factory.talos.dev/{image}/{ID}:{version}")
        );
    }
}

#[test]
fn tags_carry_what_makes_another_installer() {
    let plain = variant("v1.11.5", "nocloud", false);
    assert_eq!(
        default_tag(&plain, "nocloud", "37656798"),
        "v1.11.5-37656798"
    );
    assert_eq!(
        default_tag(&plain, "metal", "37656798"),
        "v1.11.5-37656798-metal"
    );
    let secure = variant("v1.11.5", "metal", true);
    assert_eq!(
        default_tag(&secure, "metal", "37656798"),
        "v1.11.5-37656798-secureboot"
    );
    assert_eq!(
        artifact_tag(&plain, ID, Format::Iso),
        "v1.11.5-nocloud-amd64-iso-376567988ad370138ad8b2698212367b"
    );
}

#[test]
fn knows_tags_repositories_and_images() {
    for (tag, good) in [
        ("v1.11.5", true),
        ("v1.12.0-frr-1.0.19", true),
        ("v1.11.5-sha256-abc123", true),
        ("v1.11.5+frr", false),
        ("-a", false),
        ("", false),
    ] {
        assert_eq!(tag_fault(tag).is_none(), good, "{tag}");
    }
    for (repository, good) in [
        ("ghcr.io/sulibot/talos-frr-installer", true),
        ("127.0.0.1:5000/x", true),
        ("[::1]:5000/x", true),
        ("localhost/x", true),
        ("ghcr.io/a/b__c.d-e--f", true),
        ("talos-frr-installer", false),
        ("sulibot/talos", false),
        ("https://ghcr.io/x", false),
        ("ghcr.io/X", false),
        ("ghcr.io/x:v1", false),
        ("ghcr.io/x//y", false),
        ("ghcr.io/x_", false),
        ("ghcr.io/x___y", false),
    ] {
        assert_eq!(repository_fault(repository).is_none(), good, "{repository}");
    }
    for (image, good) in [
        ("ghcr.io/sulibot/talos-frr-extension:v1.0.18", true),
        ("127.0.0.1:5000/x:v1", true),
        ("127.0.0.1:5000/x", false),
        ("ghcr.io/x", false),
        ("ghcr.io/x@sha256:12", false),
    ] {
        assert_eq!(image_fault(image).is_none(), good, "{image}");
    }
    assert_eq!(image_fault(&format!("ghcr.io/x:v1@sha256:{ID}")), None);
}

#[test]
fn knows_factories() {
    for (text, host) in [
        ("https://factory.talos.dev", Some("factory.talos.dev")),
        ("http://127.0.0.1:8080/", Some("127.0.0.1:8080")),
        ("http://[::1]:8080", Some("[::1]:8080")),
        ("factory.talos.dev", None),
        ("https://example.com/factory", None),
        ("https://user@example.com", None),
        ("https://", None),
    ] {
        let url = FactoryUrl::parse(text);
        assert_eq!(url.as_ref().map(FactoryUrl::host), host, "{text}");
    }
}
