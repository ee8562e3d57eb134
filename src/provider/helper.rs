//! The helper programs that this build brings.

use std::path::Path;

use host::{Architecture, Helper, HelperError, HelperSource};

/// Names the helper of a development build, which carries none; it wins over one that is carried, so
/// that another build of the helper can be tried.
const VARIABLE: &str = "ETCD_NODE_PATH";

const EMBEDDED: &[(Architecture, &[u8], &str)] = include!(concat!(env!("OUT_DIR"), "/helpers.rs"));

/// The helpers inside this program, or else the one that the environment names.
pub(crate) fn source() -> Result<HelperSource, HelperError> {
    let embedded: Vec<Helper> = EMBEDDED
        .iter()
        .map(|(architecture, gzip, sha256)| Helper::embedded(*architecture, gzip, sha256))
        .collect();
    match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => Ok(HelperSource::new(vec![Helper::read(Path::new(&path))?])),
        None => Ok(HelperSource::new(embedded)),
    }
}
