//! Client of the storage API of Proxmox VE: what a storage is and holds, uploads, downloads by the
//! node itself, deletion, the tasks behind them, and what the login may do.
//!
//! A [`Client`] reads with retries and tells "not there" from "cannot be told" everywhere: the
//! former is `None` or [`Kind::NotFound`], the latter any other [`Kind`]. An upload is streamed in
//! constant memory and leaves nothing half there without saying so ([`Error::left`]).
//! [`distribute()`] brings one file to several storages side by side.
//!
//! Absent: virtual machines, networks, users, and everything that is not a file on a storage.

mod answer;
mod body;
mod call;
mod client;
mod cluster;
mod content;
mod delete;
mod distribute;
mod download;
mod encode;
mod error;
mod fingerprint;
mod left;
mod login;
mod name;
mod pace;
mod permission;
mod refusal;
mod secret;
mod settings;
mod source;
mod storage;
mod task;
mod trust;
mod upid;
mod upload;

pub use client::Client;
pub use content::Volume;
pub use distribute::{Distribution, Outcome, Placed, Target, Transfer, distribute};
pub use download::{Compression, Download};
pub use error::{Error, Kind, Setting};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use left::Left;
pub use name::{ContentKind, NameError, check_file_name, normalise_file_name};
pub use pace::Pace;
pub use permission::{Action, Missing};
pub use secret::Secret;
pub use settings::{Credentials, Settings, Trust};
pub use source::Source;
pub use storage::StorageStatus;
pub use task::Finished;
pub use upid::Upid;
pub use upload::{Progress, Upload, Watch};
