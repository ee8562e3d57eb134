//! From what a user wrote to an artifact as it should be, or to all that is wrong with it.

mod content;
mod copy;
mod imager;
mod places;

use crate::{
    near::nearest,
    problem::Problems,
    talos_artifact::{
        desired::{Desired, Source, Tagged},
        file::Format,
        reference,
        release::KubernetesVersion,
        warn,
        wish::Wish,
    },
};

use content::{factory, variant};
use imager::imager;
use places::{destinations, file_name, installer, targets};

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

fn short(source: &Source) -> String {
    match source {
        Source::Factory { id, .. } => id.short().to_owned(),
        Source::Imager(inputs) => inputs.id()[..8].to_owned(),
        Source::Copy(handle) => handle.artifact_id.chars().take(8).collect(),
    }
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
mod tests;
