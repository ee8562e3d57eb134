//! CAs: from a wish and facts to the next steps. One active host; standbys come later.

mod admission;
mod change;
mod desired;
mod drift;
mod findings;
#[cfg(test)]
mod fixture;
mod names;
mod observed;
mod place;
mod plan;
mod render;
mod status;
mod step;
mod warnings;

pub use admission::admit;
pub use change::refuse;
pub use desired::{Desired, Wish};
pub use drift::drift;
pub use names::{LINK, directory, owner, unit};
pub use observed::{Manifest, Observed};
pub use place::misplaced;
pub use plan::{announce_creation, plan};
pub use render::file as unit_file;
pub use status::status;
pub use step::Step;
pub use warnings::warnings;
