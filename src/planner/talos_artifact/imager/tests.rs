use expect_test::{Expect, expect};

use super::*;

fn inputs() -> ImagerInputs {
    let version = TalosVersion::parse("v1.11.5").expect("a version");
    ImagerInputs {
        platform: "nocloud".to_owned(),
        architecture: Architecture::Amd64,
        secure_boot: false,
        imager: default_imager(&version),
        base_installer: default_base_installer(&version),
        extension_images: vec!["ghcr.io/sulibot/talos-frr-extension:v1.0.18".to_owned()],
        kernel_args: vec!["-console".to_owned(), "console=ttyS0".to_owned()],
        meta: vec![(10, "a=b".to_owned())],
        overlay: None,
        version,
    }
}

fn check(inputs: &ImagerInputs, output: ImagerOutput, platform: &str, expected: &Expect) {
    let text = format!(
        "{}\n{}",
        inputs.arguments(output, platform, false).join(" "),
        inputs.output_name(output, platform)
    );
    expected.assert_eq(&text);
}

#[test]
fn tells_the_imager_what_to_make() {
    let inputs = inputs();
    check(
        &inputs,
        ImagerOutput::Iso,
        "nocloud",
        &expect![[r#"
        iso --arch amd64 --platform nocloud --system-extension-image ghcr.io/sulibot/talos-frr-extension:v1.0.18 --extra-kernel-arg -console --extra-kernel-arg console=ttyS0 --meta 10=a=b
        nocloud-amd64.iso"#]],
    );
    check(
        &inputs,
        ImagerOutput::Disk,
        "nocloud",
        &expect![[r#"
        nocloud --arch amd64 --platform nocloud --system-extension-image ghcr.io/sulibot/talos-frr-extension:v1.0.18 --extra-kernel-arg -console --extra-kernel-arg console=ttyS0 --meta 10=a=b
        nocloud-amd64.raw.zst"#]],
    );
    check(
        &inputs,
        ImagerOutput::Installer,
        "metal",
        &expect![[r#"
        installer --arch amd64 --platform metal --base-installer-image ghcr.io/siderolabs/installer-base:v1.11.5 --system-extension-image ghcr.io/sulibot/talos-frr-extension:v1.0.18 --extra-kernel-arg -console --extra-kernel-arg console=ttyS0
        installer-amd64.tar"#]],
    );
}

#[test]
fn an_installer_before_1_10_has_no_kernel_arguments() {
    let version = TalosVersion::parse("v1.9.2").expect("a version");
    let old = ImagerInputs {
        base_installer: default_base_installer(&version),
        overlay: Some(ImagerOverlay {
            image: "ghcr.io/siderolabs/sbc-raspberrypi:v0.1.5".to_owned(),
            name: "rpi_generic".to_owned(),
            options: vec![("configTxt".to_owned(), "x".to_owned())],
        }),
        version,
        ..inputs()
    };
    check(
        &old,
        ImagerOutput::Installer,
        "metal",
        &expect![[r#"
        installer --arch amd64 --platform metal --base-installer-image ghcr.io/siderolabs/installer:v1.9.2 --system-extension-image ghcr.io/sulibot/talos-frr-extension:v1.0.18 --overlay-name rpi_generic --overlay-image ghcr.io/siderolabs/sbc-raspberrypi:v0.1.5 --overlay-option configTxt=x
        installer-amd64.tar"#]],
    );
}

#[test]
fn secure_boot_has_profiles_of_its_own() {
    let secure = ImagerInputs {
        secure_boot: true,
        ..inputs()
    };
    check(
        &secure,
        ImagerOutput::Disk,
        "nocloud",
        &expect![[r#"
        secureboot-metal --arch amd64 --platform nocloud --system-extension-image ghcr.io/sulibot/talos-frr-extension:v1.0.18 --extra-kernel-arg -console --extra-kernel-arg console=ttyS0 --meta 10=a=b
        nocloud-amd64-secureboot.raw.zst"#]],
    );
    let arguments = secure.arguments(ImagerOutput::Iso, "nocloud", true);
    assert_eq!(arguments[0], "secureboot-iso");
    assert_eq!(arguments.last().map(String::as_str), Some("--insecure"));
}

#[test]
fn every_input_is_part_of_the_id() {
    // Fixed: another id would build everything of every user again.
    expect!["48318337c4e00741022fd3f5ffecc3cdfb75e762c6cf778caca02a7a5e3feae9"]
        .assert_eq(&inputs().id());
    let changes: [fn(&mut ImagerInputs); 10] = [
        |inputs| inputs.version = TalosVersion::parse("v1.11.6").expect("a version"),
        |inputs| inputs.platform = "metal".to_owned(),
        |inputs| inputs.architecture = Architecture::Arm64,
        |inputs| inputs.secure_boot = true,
        |inputs| inputs.imager.push('x'),
        |inputs| inputs.base_installer.push('x'),
        |inputs| inputs.extension_images.push("x".to_owned()),
        |inputs| inputs.kernel_args.reverse(),
        |inputs| inputs.meta[0].0 = 11,
        |inputs| {
            inputs.overlay = Some(ImagerOverlay {
                image: String::new(),
                name: String::new(),
                options: Vec::new(),
            });
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut other = inputs();
        change(&mut other);
        assert_ne!(other.id(), inputs().id(), "change {index}");
    }
}

#[test]
fn an_image_from_a_directory_needs_a_profile() {
    let mut inputs = inputs();
    inputs
        .extension_images
        .push("oci:/srv/layouts/frr".to_owned());
    inputs.base_installer = "oci:/srv/layouts/installer-base".to_owned();
    inputs.overlay = Some(ImagerOverlay {
        image: "ghcr.io/siderolabs/sbc-raspberrypi:v0.1.0".to_owned(),
        name: "rpi_generic".to_owned(),
        options: vec![("a".to_owned(), "b".to_owned())],
    });
    let check = |output, expected: Expect| {
        let run = inputs.run(output, "metal");
        let layouts: Vec<String> = run
            .layouts
            .iter()
            .map(|layout| format!("{}: {}", layout.name, layout.path))
            .collect();
        let text = [run.arguments, layouts, vec![run.input]].concat();
        expected.assert_eq(&text.join("\n"));
    };
    check(
        ImagerOutput::Iso,
        expect![[r#"
        -
        extension-1: /srv/layouts/frr
        {"arch":"amd64","baseProfileName":"iso","customization":{"extraKernelArgs":["-console","console=ttyS0"],"metaContents":[{"key":10,"value":"a=b"}]},"input":{"overlayInstaller":{"imageRef":"ghcr.io/siderolabs/sbc-raspberrypi:v0.1.0"},"systemExtensions":[{"imageRef":"ghcr.io/sulibot/talos-frr-extension:v1.0.18"},{"ociPath":"/layouts/extension-1"}]},"overlay":{"image":{"imageRef":"ghcr.io/siderolabs/sbc-raspberrypi:v0.1.0"},"name":"rpi_generic","options":{"a":"b"}},"platform":"metal"}"#]],
    );
    check(
        ImagerOutput::Installer,
        expect![[r#"
        -
        base-installer: /srv/layouts/installer-base
        extension-1: /srv/layouts/frr
        {"arch":"amd64","baseProfileName":"installer","customization":{"extraKernelArgs":["-console","console=ttyS0"]},"input":{"baseInstaller":{"ociPath":"/layouts/base-installer"},"overlayInstaller":{"imageRef":"ghcr.io/siderolabs/sbc-raspberrypi:v0.1.0"},"systemExtensions":[{"imageRef":"ghcr.io/sulibot/talos-frr-extension:v1.0.18"},{"ociPath":"/layouts/extension-1"}]},"overlay":{"image":{"imageRef":"ghcr.io/siderolabs/sbc-raspberrypi:v0.1.0"},"name":"rpi_generic","options":{"a":"b"}},"platform":"metal"}"#]],
    );
    // A run of which no image lies in a directory goes by flags.
    inputs_by_flags();
}

fn inputs_by_flags() {
    let mut inputs = inputs();
    inputs.base_installer = "oci:/srv/layouts/installer-base".to_owned();
    let run = inputs.run(ImagerOutput::Iso, "nocloud");
    assert_eq!(run.arguments[0], "iso");
    assert!(run.input.is_empty() && run.layouts.is_empty());
}
