//! Names of files, as pve-storage changes and checks them.

use std::path::PathBuf;

use crate::{
    cluster::{self, Cluster},
    parameters::{self, Parameters},
    reply::Reply,
    spec::Storage,
};

/// Where a new file goes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) content: String,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// No path, and `_` for all but letters, digits, `_`, `.` and `-`.
fn normalise(name: &str) -> String {
    let name = name.strip_suffix('\n').unwrap_or(name);
    let start = name.rfind(['/', '\\']).map_or(0, |at| at + 1);
    name[start..]
        .chars()
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => letter,
            _ => '_',
        })
        .collect()
}

/// Checks `content`, `filename` and the checksum's parameters, which uploads and downloads share.
pub(crate) fn check(fields: &Parameters) -> Result<(), Reply> {
    parameters::required(fields, "content")?;
    let name = parameters::required(fields, "filename")?;
    parameters::one_of(fields, "content", &["iso", "vztmpl", "import"])?;
    if name.chars().count() > 255 {
        let text = "value may only be 255 characters long";
        return Err(Reply::parameter("filename", text));
    }
    let algorithms = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
    parameters::one_of(fields, "checksum-algorithm", &algorithms)?;
    for (name, other) in [
        ("checksum", "checksum-algorithm"),
        ("checksum-algorithm", "checksum"),
    ] {
        if fields.contains_key(name) && !fields.contains_key(other) {
            let text = format!("missing property - '{name}' requires this property");
            return Err(Reply::parameter(other, &text));
        }
    }
    Ok(())
}

/// Where a checked upload or download goes on this node.
pub(crate) fn place(
    cluster: &Cluster,
    storage: &Storage,
    node: &str,
    fields: &Parameters,
) -> Result<Place, Reply> {
    let content = fields["content"].clone();
    let name = normalise(&fields["filename"]);
    if cluster::format(&content, &name).is_none() {
        let text = match content.as_str() {
            "import" => "invalid filename or wrong extension",
            _ => "wrong file extension",
        };
        return Err(Reply::parameter("filename", text));
    }
    let folder = cluster
        .folder(storage, node, &content)
        .ok_or_else(|| Reply::thrown("no folder"))?;
    Ok(Place {
        path: folder.join(&name),
        content,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn a_name_loses_its_path_and_strange_characters() {
        assert_eq!(normalise("/tmp/a b/..\\c d+é.iso\n"), "c_d__.iso");
    }
}
