//! Which file this is: what the file, its directory and the machine say of each other, and how a
//! copy is made or comes back.
//!
//! `identity` and `stamp` tell a file from its copies, `home` and `standing` whether file and
//! directory belong together, `belief` whether the content is still what the worker knows. `backup`
//! makes a copy, `restore` brings one back, `declare` lets a person say what a file is.

pub(in crate::store) mod backup;
pub mod belief;
pub(in crate::store) mod declare;
pub mod home;
pub(in crate::store) mod identity;
pub(in crate::store) mod kept;
pub mod restore;
pub mod stamp;
pub mod standing;
