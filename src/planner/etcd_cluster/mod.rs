//! Clusters: from a wish and facts to the next steps.

mod admission;
mod begun;
mod certificate;
mod change;
mod check;
mod desired;
mod drift;
mod earlier;
mod findings;
#[cfg(test)]
mod fixture;
mod forgotten;
mod left_out;
mod manifest;
mod membership;
pub mod names;
mod observed;
mod options;
mod pins;
mod place;
mod plan;
mod quota;
mod rejoin;
mod render;
mod safety;
mod status;
mod step;
mod trust;
mod warnings;

pub(crate) use admission::check_host;
pub use admission::{Registered, admit, check_name};
pub use begun::check_begun;
pub use certificate::{CERTIFICATE_MODE, KEY_MODE, Role, Subject, may_have, subject};
pub use change::refuse;
pub use check::{Violation, check};
pub use desired::{Desired, Tuning, Wish};
pub use drift::drift;
pub use earlier::{Leftover, Reach, leftovers, settle};
pub use forgotten::{clearing, forgotten, orphaned};
pub use left_out::left_out;
pub use manifest::Manifest;
pub use observed::Observed;
pub use pins::check_pins;
pub use place::{astray, misplaced};
pub use plan::{Plan, announce_creation, plan};
pub use quota::check_quota;
pub use rejoin::without_data;
pub use render::{Phase, files, files_to_join, fingerprint};
pub use safety::{Unsafe, may_disrupt};
pub use status::status;
pub use step::Step;
pub use warnings::warnings;

pub use crate::stored::TooNew;
