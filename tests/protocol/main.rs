//! The built provider, called as Core calls it.
