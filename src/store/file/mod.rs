//! The identity of the file: what the file, its directory and the machine record about each other,
//! and how a copy is created or restored.
//!
//! `identity` and `stamp` tell a file from its copies, `home` and `standing` decide whether file
//! and directory belong together, `belief` whether the content is still what the worker knows.
//! `backup` creates a copy, `restore` restores one, `declare` lets a person declare what a file is.

pub(in crate::store) mod backup;
pub mod belief;
pub(in crate::store) mod declare;
pub mod home;
pub(in crate::store) mod identity;
pub(in crate::store) mod kept;
pub mod restore;
pub mod stamp;
pub mod standing;
