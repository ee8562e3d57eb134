//! CAs: from a wish and facts to the next steps. One active host; standbys come later.

mod desired;
mod names;
mod observed;
mod plan;
mod render;
mod step;

pub use desired::{Desired, Wish};
pub use names::{directory, owner, unit};
pub use observed::{Manifest, Observed};
pub use plan::{admit, announce_creation, drift, plan, refuse, status};
pub use render::file as unit_file;
pub use step::Step;
