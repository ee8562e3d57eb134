//! Where the host's files are. Every path of the host goes through here, so that tests work on a
//! directory of their own.

use std::path::{Component, Path, PathBuf};

use crate::{failure::Failed, proto::failure::Kind};

/// `/` on a host, a temporary directory in a test.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// The host itself.
    pub(crate) fn host() -> Self {
        Self(PathBuf::from("/"))
    }

    /// A directory that stands for a host.
    #[cfg(test)]
    pub(crate) fn below(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Where a path of the host is. The path is one of our own; what others send goes through
    /// [`Root::wanted`].
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Where a path that somebody sent is: absolute, and without `..`, doubled or trailing slashes,
    /// because the ledger knows each thing by one name.
    pub(crate) fn wanted(&self, path: &str) -> Result<PathBuf, Failed> {
        let plain = path.len() > 1
            && path.starts_with('/')
            && !path.contains('\0')
            && Path::new(path)
                .components()
                .skip(1)
                .all(|part| matches!(part, Component::Normal(_)))
            && Path::new(path)
                .components()
                .collect::<PathBuf>()
                .as_os_str()
                .len()
                == path.len();
        if plain {
            Ok(self.at(path))
        } else {
            Err(Failed::new(
                Kind::InvalidRequest,
                path,
                format!("{path} is not an absolute path in its shortest form"),
            ))
        }
    }
}

/// The parent directories of a path of the host, nearest first, without `/`.
pub(crate) fn parents(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.rsplit_once('/')?.0;
        (!rest.is_empty()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_paths_with_one_name() {
        let root = Root::below(Path::new("/tmp/x"));
        assert_eq!(
            root.wanted("/etc/etcd/a").expect("a plain path"),
            Path::new("/tmp/x/etc/etcd/a")
        );
        for path in [
            "",
            "/",
            "etc",
            "/etc/../root",
            "/etc//a",
            "/etc/a/",
            "/etc/./a",
            "/a\0b",
        ] {
            assert!(root.wanted(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn names_parents_from_the_nearest() {
        assert_eq!(parents("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(parents("/a").count(), 0);
    }
}
