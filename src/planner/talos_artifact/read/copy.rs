//! What is copied.

use super::{
    kubernetes,
    places::{destinations, file_name, targets},
};
use crate::{
    problem::Problems,
    talos_artifact::{
        desired::{Desired, Source},
        file::{self, Format},
        platform::Architecture,
        reference::{self, Variant},
        release::TalosVersion,
        wish::{CopyWish, Handle},
    },
};

impl Desired {
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
    let is_known = |place: &&String| *place != Handle::OPEN;
    let mut wrong = |member: &str, given: &str, fault: &str| {
        problems.error(
            &["source"],
            "Invalid source",
            format!("Its {member} is \"{given}\". {fault}"),
        );
    };
    if let Some(url) = source.url.as_ref().filter(is_known)
        && !is_url(url)
    {
        wrong(
            "url",
            url,
            "It begins with https:// or http:// and a host, and holds no blank.",
        );
    }
    if let Some(oci) = source.oci.as_ref().filter(is_known)
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
