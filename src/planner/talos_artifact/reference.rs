//! References: paths at a factory, images and tags in registries.

use super::{file::Format, platform::Architecture, release::TalosVersion, schematic::SchematicId};

/// The public factory.
pub const PUBLIC_FACTORY: &str = "https://factory.talos.dev";

/// Longest tag that registries take.
const LONGEST_TAG: usize = 128;

/// A factory, by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactoryUrl(String);

impl FactoryUrl {
    /// Reads `https://HOST[:PORT]`; a slash at the end is dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let is_host = !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte));
        is_host.then(|| Self(text.to_owned()))
    }

    /// The text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port, as image references begin.
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }
}

/// What decides which image it is, at a factory as in a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Version of Talos.
    pub version: TalosVersion,
    /// Platform.
    pub platform: String,
    /// Architecture.
    pub architecture: Architecture,
    /// Signed for secure boot.
    pub secure_boot: bool,
}

impl Variant {
    /// `nocloud-amd64` or `nocloud-amd64-secureboot`.
    pub fn stem(&self) -> String {
        let secure = if self.secure_boot { "-secureboot" } else { "" };
        format!("{}-{}{secure}", self.platform, self.architecture)
    }

    /// Name that the factory and the imager give to a file of it: `nocloud-amd64.iso`.
    pub fn fetched_name(&self, format: Format) -> String {
        format!("{}.{}", self.stem(), format.fetched_suffix())
    }

    /// Name of the file, when the configuration has none. It carries the beginning of the id, so
    /// that other content has another name.
    pub fn file_name(&self, short: &str, format: Format) -> String {
        format!("talos-{}-{}-{short}.{format}", self.version, self.stem())
    }

    /// Path of an image below a factory's URL.
    pub fn image_path(&self, id: &SchematicId, format: Format) -> String {
        format!("/image/{id}/{}/{}", self.version, self.fetched_name(format))
    }
}

/// The factory's own installer, by tag. From Talos 1.10 on the platform is fixed in it; before, there
/// was one for all platforms, which older factories know under no other name.
pub fn factory_installer(
    factory: &FactoryUrl,
    id: &SchematicId,
    version: &TalosVersion,
    platform: &str,
    secure_boot: bool,
) -> String {
    let secure = if secure_boot { "-secureboot" } else { "" };
    let image = if version.at_least(1, 10) {
        format!("{platform}-installer{secure}")
    } else {
        format!("installer{secure}")
    };
    format!("{}/{image}/{id}:{version}", factory.host())
}

/// Tag of an installer, when the configuration has none. Secure boot and another platform than the
/// image's make another installer of the same id, so they stand in it.
pub fn default_tag(image: &Variant, installer_platform: &str, short: &str) -> String {
    let platform = if installer_platform == image.platform {
        String::new()
    } else {
        format!("-{installer_platform}")
    };
    let secure = if image.secure_boot { "-secureboot" } else { "" };
    format!("{}-{short}{platform}{secure}", image.version)
}

/// Tag under which an image lies in a registry as an artifact: a function of its content alone, so
/// that whoever wants the same finds it.
pub fn artifact_tag(image: &Variant, id: &str, format: Format) -> String {
    let id = &id[..id.len().min(32)];
    let tag = format!("{}-{}-{format}-{id}", image.version, image.stem());
    tag.chars().take(LONGEST_TAG).collect()
}

/// Why a text is no tag, as a sentence.
pub(super) fn tag_fault(tag: &str) -> Option<String> {
    if tag.contains('+') {
        return Some(
            "A tag has no plus sign: registries refuse it. Write \"-\" instead.".to_owned(),
        );
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_plain)
        && tag
            .bytes()
            .all(|byte| is_plain(byte) || b".-".contains(&byte));
    (!fits).then(|| {
        format!(
            "A tag is 1 to {LONGEST_TAG} letters, digits, \"_\", \".\" and \"-\", not beginning with \
             the last two."
        )
    })
}

/// Why a text is no repository with its registry, as a sentence.
pub(super) fn repository_fault(repository: &str) -> Option<String> {
    let Some((host, path)) = repository.split_once('/') else {
        return Some(
            "A repository is a registry and a path, such as ghcr.io/example/installer.".to_owned(),
        );
    };
    if repository.contains("://") {
        return Some("A repository has no scheme: write ghcr.io/example/installer.".to_owned());
    }
    if path.contains([':', '@']) {
        return Some(
            "A repository has no tag and no digest; the tag is an attribute of its own.".to_owned(),
        );
    }
    let is_host = host == "localhost" || host.contains(['.', ':']);
    let fits = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
        && path.split('/').all(is_component);
    if fits && !is_host {
        return Some(format!(
            "\"{host}\" is no registry: write the host in full, such as docker.io/{repository}."
        ));
    }
    (!fits).then(|| {
        "Parts of a repository are lower-case letters and digits, separated by \".\", \"_\", \"__\" or \
         \"-\"."
            .to_owned()
    })
}

/// A part of a repository's path, as the distribution specification has it.
fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<u8>| byte.is_some_and(is_plain);
    let is_separator = |run: &[u8]| {
        matches!(run, [b'.' | b'_'] | [b'_', b'_']) || run.iter().all(|byte| *byte == b'-')
    };
    ends(text.bytes().next())
        && ends(text.bytes().last())
        && text
            .as_bytes()
            .split(|byte| is_plain(*byte))
            .all(|run| run.is_empty() || is_separator(run))
}

/// Why a text is no image reference with a tag or a digest, as a sentence.
pub(super) fn image_fault(reference: &str) -> Option<String> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    if let Some(fault) = repository_fault(repository) {
        return Some(fault);
    }
    if let Some(digest) = digest
        && !is_digest(digest)
    {
        return Some("A digest is sha256: and 64 hexadecimal digits.".to_owned());
    }
    match tag {
        Some(tag) => tag_fault(tag),
        None if digest.is_none() => {
            Some("It has neither a tag nor a digest, so it could be any image.".to_owned())
        }
        None => None,
    }
}

/// Whether a text is `sha256:` and 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| SchematicId::parse(hex).is_some())
}

#[cfg(test)]
mod tests;
