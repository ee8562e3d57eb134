//! Talos images: what is in them, where they should be, and the steps that bring them there.

mod announced;
mod attribute;
mod desired;
mod extension;
mod file;
mod findings;
#[cfg(test)]
mod fixture;
mod imager;
mod observed;
mod offer;
mod plan;
mod platform;
mod read;
mod recorded;
mod reference;
mod release;
mod schematic;
mod step;
mod warn;
mod wish;

pub use announced::unannounced;
pub use attribute::attribute;
pub use desired::{Desired, Installer, Source, Tagged, Target, Transfer};
pub use extension::{Lookup, look_up};
pub use file::{ContentKind, Format, volid};
pub use findings::{EXCHANGED, Wait, forget_unreachable};
pub use imager::{
    ImagerInputs, ImagerLayout, ImagerOutput, ImagerOverlay, ImagerRun, default_base_installer,
    default_imager,
};
pub use observed::{
    Absent, Begun, Bytes, LocalSeen, Observed, Refused, StorageSeen, TagSeen, schematic_at,
};
pub use offer::{Offer, check_offer};
pub use plan::{
    Look, Plan, announce_creation, drift, left_by_removal, looks, plan, plan_removal, sentences,
    status, tags,
};
pub use platform::{Architecture, PLATFORMS, Platform};
pub use recorded::{
    Recorded, RecordedFile, RecordedImage, RecordedInstaller, RecordedLocal, RecordedTag,
};
pub use reference::{
    FactoryUrl, PUBLIC_FACTORY, Variant, artifact_tag, default_tag, factory_installer, is_digest,
};
pub use release::{InvalidVersion, KubernetesVersion, TalosVersion, mismatch, missing_version};
pub use schematic::{
    Bootloader, EnrollKeys, Fault, InvalidSchematic, Meta, Overlay, Schematic, SchematicId, Value,
};
pub use step::{Done, FilePlace, Origin, Step, listed, wave};
pub use wish::{BuilderWish, CopyWish, Handle, InstallerWish, OverlayWish, ProxmoxWish, Wish};
