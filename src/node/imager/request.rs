//! What is asked for, checked: from here on nothing can be mistaken for an option, a path of
//! another place or a second mount.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use crate::{
    failure::Failed,
    proto::{BuildImageRequest, build_image_request::Pull, failure::Kind},
    root::Root,
};

/// An ISO and what xz and mkisofs need beside it.
const SPACE_BYTES: u64 = 2 << 30;

/// For waiting, and then for pulling and building: a cold build takes minutes.
const LIMIT: Duration = Duration::from_hours(1);

/// Hash of everything that a build is made from; also the name of its directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BuildId(String);

impl BuildId {
    pub(crate) fn new(text: &str) -> Result<Self, Failed> {
        let is_hex = text
            .chars()
            .all(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
        if is_hex && (16..=64).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Failed::invalid(
                text,
                format!("{text:?} is not 16 to 64 digits of lower-case hex"),
            ))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the container that builds it: one at a time on a host.
    pub(super) fn container(&self) -> String {
        format!("etcd-node-build-{}", self.0)
    }

    /// Name of the lock that whoever makes or deletes it holds.
    pub(super) fn lock(&self) -> String {
        format!("build/{}", self.0)
    }
}

/// A directory in the OCI image layout that the builder may read.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// A build that can be tried.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) id: BuildId,
    pub(super) engine: String,
    pub(super) image: String,
    pub(super) arguments: Vec<String>,
    pub(super) input: Vec<u8>,
    pub(super) output: String,
    pub(super) layouts: Vec<Layout>,
    pub(super) pull: Pull,
    pub(super) privileged: bool,
    pub(super) space_bytes: u64,
    pub(super) limit: Duration,
}

impl Wish {
    pub(super) fn new(root: &Root, request: BuildImageRequest) -> Result<Self, Failed> {
        let id = BuildId::new(&request.build_id)?;
        check_image(&request.image)?;
        check_output(&request.output)?;
        if let Some(bad) = request.arguments.iter().find(|word| word.contains('\0')) {
            return Err(Failed::invalid(
                bad.replace('\0', ""),
                "an argument holds a zero byte",
            ));
        }
        let pull = request.pull();
        let mut names = BTreeSet::new();
        let layouts = request
            .layouts
            .iter()
            .map(|layout| {
                if !names.insert(&layout.name) {
                    let message = format!("two layouts are named {}", layout.name);
                    return Err(Failed::invalid(&layout.name, message));
                }
                check_layout(root, &layout.name, &layout.path)
            })
            .collect::<Result<_, Failed>>()?;
        let or = |value: u64, default: u64| if value == 0 { default } else { value };
        let limit = match request.timeout_ms {
            0 => LIMIT,
            limit => Duration::from_millis(limit.into()),
        };
        Ok(Self {
            id,
            engine: request.engine,
            image: request.image,
            arguments: request.arguments,
            input: request.standard_input,
            output: request.output,
            layouts,
            pull,
            privileged: request.privileged,
            space_bytes: or(request.space_bytes, SPACE_BYTES),
            limit,
        })
    }
}

fn check_image(image: &str) -> Result<(), Failed> {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "./:@_-[]".contains(character);
    let good = image.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
        && image.len() <= 512
        && image.chars().all(plain);
    if good {
        Ok(())
    } else {
        Err(Failed::invalid(
            image,
            format!("{image:?} is not a reference of an image"),
        ))
    }
}

fn check_output(output: &str) -> Result<(), Failed> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let good = output.starts_with(|first: char| first.is_ascii_alphanumeric())
        && output.len() <= 255
        && output.chars().all(plain)
        && !super::place::OWN_FILES.contains(&output);
    if good {
        Ok(())
    } else {
        Err(Failed::invalid(
            output,
            format!("{output:?} is not the name of a file that a builder makes"),
        ))
    }
}

fn check_layout(root: &Root, name: &str, path: &str) -> Result<Layout, Failed> {
    let plain = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-');
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        return Err(Failed::invalid(
            name,
            format!("{name:?} is not the name of a layout: [a-z0-9-]{{1,40}}"),
        ));
    }
    let place = root.wanted(path)?;
    // Engines read `-v` as fields between colons, and podman's as options between commas too.
    if path.contains([':', ',']) {
        return Err(Failed::invalid(
            path,
            format!("{path} holds a colon or a comma, which no engine can mount"),
        ));
    }
    if !place.join("oci-layout").is_file() {
        return Err(Failed::new(
            Kind::NotFound,
            path,
            format!("{path} is no directory in the OCI image layout: it holds no file oci-layout"),
        )
        .hint("Copy the image there, for example with `skopeo copy … oci:DIRECTORY:TAG`."));
    }
    Ok(Layout {
        name: name.to_owned(),
        path: place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proto::OciLayout, test_host::TestHost};

    fn good() -> BuildImageRequest {
        BuildImageRequest {
            build_id: "0123456789abcdef".to_owned(),
            image: "ghcr.io/siderolabs/imager:v1.11.5".to_owned(),
            output: "nocloud-amd64.iso".to_owned(),
            ..BuildImageRequest::default()
        }
    }

    #[test]
    fn nothing_can_be_mistaken_for_an_option_or_another_place() {
        let host = TestHost::new();
        host.write("/srv/layout/oci-layout", "{}");
        host.write("/srv/a:b/oci-layout", "{}");
        host.write("/srv/empty/file", "");
        let layout = |name: &str, path: &str| OciLayout {
            name: name.to_owned(),
            path: path.to_owned(),
        };
        let changed = |change: &dyn Fn(&mut BuildImageRequest)| {
            let mut request = good();
            change(&mut request);
            Wish::new(host.root(), request)
        };
        let wish = changed(&|request| request.layouts = vec![layout("base", "/srv/layout")]);
        assert_eq!(wish.expect("a good one").layouts[0].name, "base");
        for id in ["", "abc", "0123456789ABCDEF", "../0123456789abcdef"] {
            let wish = changed(&|request| request.build_id = id.to_owned());
            assert!(wish.is_err(), "{id:?}");
        }
        for image in ["", "--privileged", "a b", "a;b"] {
            let wish = changed(&|request| request.image = image.to_owned());
            assert!(wish.is_err(), "{image:?}");
        }
        for output in ["", ".hidden", "../x", "a/b", "manifest.json"] {
            let wish = changed(&|request| request.output = output.to_owned());
            assert!(wish.is_err(), "{output:?}");
        }
        for (name, path, kind) in [
            ("", "/srv/layout", Kind::InvalidRequest),
            ("../x", "/srv/layout", Kind::InvalidRequest),
            ("base", "srv/layout", Kind::InvalidRequest),
            ("base", "/srv/../srv/layout", Kind::InvalidRequest),
            ("base", "/srv/a:b", Kind::InvalidRequest),
            ("base", "/srv/empty", Kind::NotFound),
            ("base", "/srv/nothing", Kind::NotFound),
        ] {
            let wish = changed(&|request| request.layouts = vec![layout(name, path)]);
            assert_eq!(wish.expect_err(path).0.kind(), kind, "{name} {path}");
        }
        let twice = layout("base", "/srv/layout");
        let wish = changed(&|request| request.layouts = vec![twice.clone(), twice.clone()]);
        assert!(wish.is_err());
        assert!(changed(&|request| request.arguments = vec!["a\0b".to_owned()]).is_err());
    }
}
