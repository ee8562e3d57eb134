//! From a wish to what should be; everything that is wrong with it is collected.

use std::collections::BTreeMap;

use super::{
    desired::{Desired, Installer, Source, Tagged, Target, Transfer},
    extension,
    file::{self, Format},
    imager::{self, ImagerInputs, ImagerOverlay, default_base_installer, default_imager},
    platform::{Architecture, PLATFORMS, Platform},
    reference::{self, FactoryUrl, PUBLIC_FACTORY, Variant},
    release::{KubernetesVersion, TalosVersion},
    schematic::{Bootloader, Meta, Overlay, Schematic, SchematicId, Value},
    warn,
    wish::{CopyWish, Handle, InstallerWish, OverlayWish, ProxmoxWish, Wish},
};
use crate::{near::nearest, problem::Problems};

impl Desired {
    /// Reads a wish; problems are collected at the attributes where they are.
    pub fn read(wish: &Wish, problems: &mut Problems) -> Option<Self> {
        let variant = variant(wish, problems);
        let kubernetes = kubernetes(wish.kubernetes_version.as_deref(), problems);
        let mode = word(
            "mode",
            wish.mode.as_deref().unwrap_or("factory"),
            &["factory", "imager"],
            problems,
        );
        let format = format(wish.image_format.as_deref().unwrap_or("iso"), problems);
        let source = match (mode, &variant) {
            (Some("imager"), Some(variant)) => imager(wish, variant, problems).map(Source::Imager),
            (Some(_), _) => factory(wish, problems),
            (None, _) => None,
        };
        let targets = targets(&wish.proxmox, problems);
        let (variant, format) = (variant?, format?);
        let short = source.as_ref().map(short).unwrap_or_default();
        let file_name = file_name(wish.file_name.as_deref(), format, problems)
            .unwrap_or_else(|| variant.file_name(&short, format));
        let installer = match &wish.installer {
            None => None,
            Some(wish) => Some(installer(wish, &variant, &short, problems)?),
        };
        let artifact = wish.artifact_repository.as_deref().and_then(|repository| {
            if let Some(fault) = reference::repository_fault(repository) {
                problems.error(&["artifact_repository"], "Invalid repository", fault);
            }
            let id = match source.as_ref()? {
                Source::Imager(inputs) => inputs.id(),
                Source::Factory { id, .. } => id.to_string(),
                Source::Copy(handle) => handle.artifact_id.clone(),
            };
            Some(Tagged {
                repository: repository.to_owned(),
                tag: reference::artifact_tag(&variant, &id, format),
            })
        });
        let desired = Self {
            file_name: if format == Format::None {
                String::new()
            } else {
                file_name
            },
            variant,
            kubernetes,
            source: source?,
            format,
            local_file: wish.local_file.clone(),
            artifact,
            installer,
            targets: targets?,
            overwrite: wish.overwrite,
            keep_previous: wish.keep_previous,
        };
        destinations(&desired, problems);
        warn::wish(wish, &desired, problems);
        (!problems.has_errors()).then_some(desired)
    }

    /// Reads a wish for a copy.
    pub fn read_copy(wish: &CopyWish, problems: &mut Problems) -> Option<Self> {
        let Handle {
            talos_version,
            platform,
            architecture,
            ..
        } = &wish.source;
        let variant = Variant {
            version: TalosVersion::parse(talos_version)
                .map_err(|error| problems.error(&["source"], "Invalid source", format!("{error}.")))
                .ok()?,
            platform: platform.clone(),
            architecture: known_word("architecture", architecture, Architecture::parse, problems)
                .unwrap_or_default(),
            secure_boot: false,
        };
        let format = known_word("format", &wish.source.format, Format::parse, problems);
        let is_none = format == Some(Format::None);
        let format = format.unwrap_or(Format::None);
        if is_none {
            problems.error(
                &["source"],
                "The source has no image",
                "It was made with image_format = \"none\", so there is nothing to copy.",
            );
        }
        let name = file_name(wish.file_name.as_deref(), format, problems)
            .or_else(|| source_name(&wish.source, format, problems));
        let desired = Self {
            variant,
            kubernetes: kubernetes(wish.source.kubernetes_version.as_deref(), problems),
            source: Source::Copy(wish.source.clone()),
            format,
            file_name: name.unwrap_or_default(),
            local_file: wish.local_file.clone(),
            artifact: None,
            installer: None,
            targets: targets(&wish.proxmox, problems)?,
            overwrite: wish.overwrite,
            keep_previous: wish.keep_previous,
        };
        destinations(&desired, problems);
        members(&wish.source, problems);
        let Handle { url, oci, path, .. } = &wish.source;
        if url.is_none() && oci.is_none() && path.is_none() && format != Format::None {
            problems.error(
                &["source"],
                "The source can be fetched from nowhere",
                "It has no factory, no artifact_repository and no local_file. Give the artifact that \
                 made it one of them.",
            );
        }
        (!problems.has_errors()).then_some(desired)
    }
}

/// What else a source says, where somebody wrote it by hand.
fn members(source: &Handle, problems: &mut Problems) {
    let mut wrong = |member: &str, given: &str, fault: &str| {
        problems.error(
            &["source"],
            "Invalid source",
            format!("Its {member} is \"{given}\". {fault}"),
        );
    };
    if let Some(url) = &source.url
        && !is_url(url)
    {
        wrong(
            "url",
            url,
            "It begins with https:// or http:// and a host, and holds no blank.",
        );
    }
    if let Some(oci) = &source.oci
        && let Some(fault) = reference::image_fault(oci)
    {
        wrong("oci", oci, &fault);
    }
    if let Some(path) = &source.path
        && path.trim().is_empty()
    {
        wrong("path", path, "It is empty.");
    }
    if let Some(sha256) = &source.sha256
        && !reference::is_digest(&format!("sha256:{sha256}"))
    {
        wrong(
            "sha256",
            sha256,
            "A SHA-256 is 64 hexadecimal digits in small letters.",
        );
    }
    if source.size_bytes == Some(0) {
        wrong("size_bytes", "0", "No image is empty.");
    }
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    let has_host = host.is_some_and(|host| {
        host.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '[')
    });
    has_host && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// A word of a source that somebody wrote by hand, or that a newer version gave out.
fn known_word<T>(
    member: &str,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
    problems: &mut Problems,
) -> Option<T> {
    let found = parse(text);
    if found.is_none() {
        problems.error(
            &["source"],
            "Invalid source",
            format!(
                "\"{text}\" is no {member} of an image. Give it the image of a talos_artifact."
            ),
        );
    }
    found
}

/// The name that a copy takes from its source.
fn source_name(source: &Handle, format: Format, problems: &mut Problems) -> Option<String> {
    if format == Format::None {
        return None;
    }
    let name = source.file_name.clone().unwrap_or_default();
    if let Some(fault) = file::name_fault(&name, format) {
        problems.error(
            &["source"],
            "Invalid source",
            format!("Its file_name is \"{name}\". {fault} Give the copy a file_name of its own."),
        );
    }
    Some(name)
}

fn short(source: &Source) -> String {
    match source {
        Source::Factory { id, .. } => id.short().to_owned(),
        Source::Imager(inputs) => inputs.id()[..8].to_owned(),
        Source::Copy(handle) => handle.artifact_id.chars().take(8).collect(),
    }
}

/// One of some words; an error names the one that was meant.
fn word<'a>(
    attribute: &str,
    text: &str,
    known: &[&'a str],
    problems: &mut Problems,
) -> Option<&'a str> {
    let found = known.iter().copied().find(|known| *known == text);
    if found.is_none() {
        let near = nearest(text, known.iter().copied())
            .map(|near| format!(" Did you mean \"{near}\"?"))
            .unwrap_or_default();
        problems.error(
            &[attribute],
            format!("Invalid {attribute}"),
            format!("\"{text}\" is none of {}.{near}", known.join(", ")),
        );
    }
    found
}

fn variant(wish: &Wish, problems: &mut Problems) -> Option<Variant> {
    let version = TalosVersion::parse(&wish.talos_version)
        .map_err(|error| {
            problems.error(&["talos_version"], "Invalid version", format!("{error}."));
        })
        .ok();
    let platforms = PLATFORMS.map(|known| known.name);
    let platform = wish.platform.as_deref().unwrap_or("nocloud");
    let platform = word("platform", platform, &platforms, problems);
    let architectures = Architecture::ALL.map(Architecture::as_str);
    let architecture = wish.architecture.as_deref().unwrap_or("amd64");
    let architecture = word("architecture", architecture, &architectures, problems);
    let variant = Variant {
        version: version?,
        platform: platform?.to_owned(),
        architecture: Architecture::parse(architecture?)?,
        secure_boot: wish.secure_boot,
    };
    let known = Platform::find(&variant.platform)?;
    if let Some(fault) = known.refuses(&variant.version, variant.architecture, wish.secure_boot) {
        problems.error(&["platform"], "There is no such image", fault);
    }
    if wish.secure_boot && !variant.version.at_least(1, 5) {
        problems.error(
            &["secure_boot"],
            "No secure boot in this version",
            "Secure boot came with Talos 1.5.",
        );
    }
    Some(variant)
}

fn kubernetes(text: Option<&str>, problems: &mut Problems) -> Option<KubernetesVersion> {
    KubernetesVersion::parse(text?)
        .map_err(|error| {
            problems.error(
                &["kubernetes_version"],
                "Invalid version",
                format!("{error}."),
            );
        })
        .ok()
}

fn format(text: &str, problems: &mut Problems) -> Option<Format> {
    let words = Format::ALL.map(Format::as_str);
    word("image_format", text, &words, problems).and_then(Format::parse)
}

fn factory(wish: &Wish, problems: &mut Problems) -> Option<Source> {
    for (attribute, is_set) in [
        ("extension_images", !wish.extension_images.is_empty()),
        ("builder", wish.builder.is_some()),
    ] {
        if is_set {
            problems.error(
                &[attribute],
                format!("{attribute} needs mode \"imager\""),
                "A factory builds from official extensions only, and builds them itself. Set mode = \
                 \"imager\", or remove it.",
            );
        }
    }
    let text = wish
        .factory_url
        .as_deref()
        .or(wish.default_factory_url.as_deref())
        .unwrap_or(PUBLIC_FACTORY);
    let url = FactoryUrl::parse(text);
    if url.is_none() {
        problems.error(
            &["factory_url"],
            "Invalid URL",
            format!("\"{text}\" is not a scheme and a host such as {PUBLIC_FACTORY}."),
        );
    }
    let schematic = match &wish.schematic {
        Some(yaml) => raw_schematic(wish, yaml, problems),
        None => written_schematic(wish, problems),
    }?;
    let id = wish
        .server_id
        .as_deref()
        .and_then(SchematicId::parse)
        .unwrap_or_else(|| schematic.id());
    Some(Source::Factory {
        url: url?,
        schematic,
        id,
    })
}

fn raw_schematic(wish: &Wish, yaml: &str, problems: &mut Problems) -> Option<Schematic> {
    for (attribute, is_set) in [
        ("extensions", !wish.extensions.is_empty()),
        ("kernel_args", !wish.kernel_args.is_empty()),
        ("meta", !wish.meta.is_empty()),
        ("bootloader", wish.bootloader.is_some()),
        ("overlay", wish.overlay.is_some()),
    ] {
        if is_set {
            problems.error(
                &[attribute],
                format!("schematic and {attribute} exclude each other"),
                format!("A schematic is the whole content. Write {attribute} in it, or remove it."),
            );
        }
    }
    match Schematic::parse(yaml) {
        Ok(schematic) => Some(schematic),
        Err(error) => {
            for fault in error.0 {
                let end = if fault.what.ends_with('?') { "" } else { "." };
                let detail = format!("{fault}{end}");
                problems.error(&["schematic"], "Invalid schematic", detail);
            }
            None
        }
    }
}

fn written_schematic(wish: &Wish, problems: &mut Problems) -> Option<Schematic> {
    for (index, name) in wish.extensions.iter().enumerate() {
        let place = ["extensions", &index.to_string()];
        if !extension::is_name(name) {
            problems.error(
                &place,
                "Invalid name of an extension",
                format!(
                    "\"{name}\" is not a name such as siderolabs/qemu-guest-agent. Images of \
                     extensions need mode \"imager\" and extension_images."
                ),
            );
        }
        if wish.extensions[..index].contains(name) {
            problems.error(
                &place,
                "An extension stands twice",
                format!(
                    "\"{name}\" stands above already; it would make another id of the same content."
                ),
            );
        }
    }
    kernel_args(wish, problems);
    let meta = meta(wish, problems);
    let overlay = wish.overlay.as_ref().map(|overlay| {
        for (member, text) in [("image", &overlay.image), ("name", &overlay.name)] {
            if text.is_empty() {
                problems.error(
                    &["overlay", member],
                    "Incomplete overlay",
                    "An overlay has an image and a name.",
                );
            }
        }
        Overlay {
            image: overlay.image.clone(),
            name: overlay.name.clone(),
            options: overlay.options.clone().into_iter().collect(),
        }
    });
    Some(Schematic {
        overlay: overlay.unwrap_or_default(),
        kernel_args: wish.kernel_args.clone(),
        meta: meta?
            .into_iter()
            .map(|(key, value)| Meta { key, value })
            .collect(),
        extensions: wish.extensions.clone(),
        bootloader: bootloader(wish, problems)?,
        ..Schematic::default()
    })
}

fn bootloader(wish: &Wish, problems: &mut Problems) -> Option<Bootloader> {
    let Some(text) = wish.bootloader.as_deref() else {
        return Some(Bootloader::Automatic);
    };
    let known: Vec<&str> = Bootloader::ALL[1..]
        .iter()
        .map(|known| known.as_str())
        .collect();
    let found = word("bootloader", text, &known, problems)?;
    Bootloader::ALL
        .into_iter()
        .find(|known| known.as_str() == found)
}

fn kernel_args(wish: &Wish, problems: &mut Problems) {
    for (index, argument) in wish.kernel_args.iter().enumerate() {
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            problems.error(
                &["kernel_args", &index.to_string()],
                "Invalid argument for the kernel",
                "An argument is one word without spaces; each is an entry of its own.",
            );
        }
    }
}

/// META by number, so that its order in a schematic does not depend on digits.
fn meta(wish: &Wish, problems: &mut Problems) -> Option<Vec<(u8, String)>> {
    let mut found = BTreeMap::new();
    for (key, value) in &wish.meta {
        match key.parse::<u8>() {
            Ok(number) if number.to_string() == *key => {
                found.insert(number, value.clone());
            }
            _ => problems.error(
                &["meta", key],
                "Invalid key of META",
                format!("\"{key}\" is not a number from 0 to 255, such as \"10\"."),
            ),
        }
    }
    (found.len() == wish.meta.len()).then(|| found.into_iter().collect())
}

fn imager(wish: &Wish, variant: &Variant, problems: &mut Problems) -> Option<ImagerInputs> {
    let content = "Write kernel_args, meta, overlay and extension_images instead.";
    for (attribute, is_set, instead) in [
        ("schematic", wish.schematic.is_some(), content),
        (
            "extensions",
            !wish.extensions.is_empty(),
            "Names are resolved by a factory: name the images in extension_images instead.",
        ),
        (
            "factory_url",
            wish.factory_url.is_some(),
            "The imager runs on the builder: remove it.",
        ),
        (
            "bootloader",
            wish.bootloader.is_some(),
            "The imager has no flag for it: remove it.",
        ),
    ] {
        if is_set {
            let summary = format!("{attribute} needs mode \"factory\"");
            problems.error(&[attribute], summary, instead);
        }
    }
    if wish.secure_boot {
        problems.error(
            &["secure_boot"],
            "No secure boot with the imager",
            "The imager signs with keys that this resource does not hand over. A factory has keys of \
             its own: set mode = \"factory\".",
        );
    }
    let Some(builder) = wish
        .builder
        .as_ref()
        .filter(|builder| !builder.host.is_empty())
    else {
        problems.error(
            &["builder"],
            "A builder is missing",
            "The imager runs in a container on a host that is reached by SSH: builder { host = \"…\" }.",
        );
        return None;
    };
    let mut images = vec![];
    for (index, image) in wish.extension_images.iter().enumerate() {
        images.push((["extension_images".to_owned(), index.to_string()], image));
    }
    for (member, image) in [
        ("imager", &builder.imager),
        ("base_installer", &builder.base_installer),
    ] {
        if let Some(image) = image {
            images.push((["builder".to_owned(), member.to_owned()], image));
        }
    }
    for ([attribute, member], image) in &images {
        // The engine on the build host starts the imager, and takes it from its own store.
        let is_imager = member == "imager";
        let fault = if !is_imager && image.starts_with(imager::LAYOUT) {
            imager::layout_fault(image)
        } else {
            reference::image_fault(image)
        };
        if let Some(fault) = fault {
            problems.error(
                &[attribute, member],
                "Invalid image",
                format!("\"{image}\": {fault}"),
            );
        }
    }
    kernel_args(wish, problems);
    let version = variant.version.clone();
    Some(ImagerInputs {
        platform: variant.platform.clone(),
        architecture: variant.architecture,
        secure_boot: variant.secure_boot,
        imager: builder
            .imager
            .clone()
            .unwrap_or_else(|| default_imager(&version)),
        base_installer: builder
            .base_installer
            .clone()
            .unwrap_or_else(|| default_base_installer(&version)),
        extension_images: wish.extension_images.clone(),
        kernel_args: wish.kernel_args.clone(),
        meta: meta(wish, problems)?,
        overlay: wish
            .overlay
            .as_ref()
            .map(|overlay| imager_overlay(overlay, problems)),
        version,
    })
}

/// The overlay as flags: options are text there, and text after `@` is the name of a file.
fn imager_overlay(overlay: &OverlayWish, problems: &mut Problems) -> ImagerOverlay {
    let fault = if overlay.image.starts_with(imager::LAYOUT) {
        imager::layout_fault(&overlay.image)
    } else {
        reference::image_fault(&overlay.image)
    };
    if let Some(fault) = fault {
        problems.error(&["overlay", "image"], "Invalid image", fault);
    }
    let mut options = Vec::new();
    for (name, value) in &overlay.options {
        let text = match value {
            Value::Text(text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Uint(number) => Some(number.to_string()),
            _ => None,
        };
        let text = text.filter(|text| !text.starts_with('@') && !name.starts_with('@'));
        match text {
            Some(text) => options.push((name.clone(), text)),
            None => problems.error(
                &["overlay", "options"],
                "Invalid option of an overlay",
                format!("The imager takes {name} as one text that does not begin with \"@\"."),
            ),
        }
    }
    ImagerOverlay {
        image: overlay.image.clone(),
        name: overlay.name.clone(),
        options,
    }
}

fn file_name(name: Option<&str>, format: Format, problems: &mut Problems) -> Option<String> {
    let name = name?;
    if format == Format::None {
        problems.error(
            &["file_name"],
            "There is no file",
            "image_format is \"none\", so file_name has no use.",
        );
    } else if let Some(fault) = file::name_fault(name, format) {
        problems.error(&["file_name"], "Invalid file name", fault);
    }
    Some(name.to_owned())
}

fn installer(
    wish: &InstallerWish,
    variant: &Variant,
    short: &str,
    problems: &mut Problems,
) -> Option<Installer> {
    if let Some(fault) = reference::repository_fault(&wish.repository) {
        problems.error(&["installer", "repository"], "Invalid repository", fault);
    }
    let platform = wish.platform.as_deref().unwrap_or(&variant.platform);
    if Platform::find(platform).is_none() {
        let near = nearest(platform, PLATFORMS.iter().map(|known| known.name))
            .map(|near| format!(" Did you mean \"{near}\"?"))
            .unwrap_or_default();
        problems.error(
            &["installer", "platform"],
            "Invalid platform",
            format!("\"{platform}\" is no platform of Talos.{near}"),
        );
        return None;
    }
    let tag = wish
        .tag
        .clone()
        .unwrap_or_else(|| reference::default_tag(variant, platform, short));
    if let Some(fault) = reference::tag_fault(&tag) {
        problems.error(&["installer", "tag"], "Invalid tag", fault);
    }
    Some(Installer {
        place: Tagged {
            repository: wish.repository.clone(),
            tag,
        },
        platform: platform.to_owned(),
        overwrite_tag: wish.overwrite_tag,
    })
}

fn targets(wishes: &[ProxmoxWish], problems: &mut Problems) -> Option<Vec<Target>> {
    let before = problems.0.len();
    let mut nodes: BTreeMap<&str, &str> = BTreeMap::new();
    let mut targets = Vec::new();
    for (index_of, wish) in wishes.iter().enumerate() {
        let index = index_of.to_string();
        if !file::is_storage(&wish.storage) {
            problems.error(
                &["proxmox", &index, "storage"],
                "Invalid storage",
                format!(
                    "\"{}\" is not the id of a storage, such as local.",
                    wish.storage
                ),
            );
        }
        if wish.nodes.is_empty() {
            problems.error(
                &["proxmox", &index, "nodes"],
                "No nodes",
                "Name the nodes that use the image, also on a shared storage: each gets its file id.",
            );
        }
        for node in &wish.nodes {
            let place = ["proxmox", &index, "nodes"];
            if !file::is_node(node) {
                problems.error(
                    &place,
                    "Invalid node",
                    format!("\"{node}\" is not the name of a node, such as pve01 (no domain)."),
                );
            }
            if let Some(storage) = nodes.insert(node, &wish.storage) {
                let detail = if wishes[..index_of]
                    .iter()
                    .any(|other| other.nodes.contains(node))
                {
                    format!(
                        "{node} has the image on storage {storage} already, and \
                         talos_image_file_ids has one id for each node."
                    )
                } else {
                    format!("{node} is in this list already.")
                };
                problems.error(&place, "A node stands twice", detail);
            }
        }
        let transfer = wish.transfer.as_deref().unwrap_or("upload");
        let transfer = match transfer {
            "upload" => Transfer::Upload,
            "download" => Transfer::Download,
            other => {
                problems.error(
                    &["proxmox", &index, "transfer"],
                    "Invalid transfer",
                    format!("\"{other}\" is neither upload nor download."),
                );
                Transfer::Upload
            }
        };
        targets.push(Target {
            storage: wish.storage.clone(),
            nodes: wish.nodes.clone(),
            transfer,
        });
    }
    let is_new = |problem: &crate::problem::Problem| problem.is_error;
    (!problems.0[before..].iter().any(is_new)).then_some(targets)
}

/// Whether everything can get where it should.
fn destinations(desired: &Desired, problems: &mut Problems) {
    let is_imager = matches!(desired.source, Source::Imager(_));
    for (attribute, is_set) in [
        ("proxmox", !desired.targets.is_empty()),
        ("local_file", desired.local_file.is_some()),
        ("artifact_repository", desired.artifact.is_some()),
    ] {
        if is_set && !desired.has_image() {
            problems.error(
                &[attribute],
                "There is no image",
                format!("image_format is \"none\", so {attribute} has nothing to hold."),
            );
        }
    }
    if desired.local_file.as_deref() == Some("") {
        problems.error(&["local_file"], "Invalid path", "It is empty.");
    }
    if is_imager {
        imager_destinations(desired, problems);
    }
    for (index, target) in desired.targets.iter().enumerate() {
        let place = ["proxmox", &index.to_string(), "transfer"];
        if target.transfer != Transfer::Download {
            continue;
        }
        if desired.image_url().is_none() {
            problems.error(
                &place,
                "Nothing to download from",
                "A node can fetch an image from a factory only. Images of the imager are uploaded: \
                 remove transfer.",
            );
        }
        if desired.format == Format::Raw {
            problems.error(
                &place,
                "A node cannot unpack this image",
                "Raw images come packed. Upload it, which unpacks it on the way, or take qcow2.",
            );
        }
    }
}

fn imager_destinations(desired: &Desired, problems: &mut Problems) {
    if desired.format == Format::Qcow2 {
        problems.error(
            &["image_format"],
            "The imager makes no qcow2",
            "Its flags know ISO and raw disk images: take \"iso\" or \"raw\", or mode \"factory\".",
        );
    }
    if desired.format == Format::Raw && !desired.variant.version.at_least(1, 8) {
        problems.error(
            &["image_format"],
            "The imager of this version packs with xz",
            "Proxmox cannot use that. Take \"iso\", mode \"factory\", or Talos 1.8 and later.",
        );
    }
    let goes_nowhere =
        desired.targets.is_empty() && desired.local_file.is_none() && desired.artifact.is_none();
    if desired.has_image() && goes_nowhere {
        problems.error(
            &["image_format"],
            "The image would go nowhere",
            "Give it a place: proxmox, artifact_repository or local_file; or image_format = \"none\" \
             for an installer alone.",
        );
    }
    if !desired.has_image() && desired.installer.is_none() {
        problems.error(
            &["installer"],
            "Nothing would be made",
            "image_format is \"none\" and there is no installer block.",
        );
    }
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
