//! Against the real registry: what it accepts, refuses and keeps.

mod artifacts;
mod claims;
mod copies;
mod cuts;
mod files;
mod logins;
mod removing;
mod site;
mod tags;
