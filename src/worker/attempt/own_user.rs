//! The entry of the worker's own user in `/etc/passwd`, for jobs of a worker that was started
//! without those variables.

use std::sync::OnceLock;

use crate::host::users::{self, User};

/// Returns `HOME`, `USER` or `SHELL`; `None` for any other name, and for a user who is not in the
/// file.
pub fn variable(name: &str) -> Option<Vec<u8>> {
    static OWN: OnceLock<Option<User>> = OnceLock::new();
    let own = OWN.get_or_init(|| users::all().into_iter().find(|user| user.uid == users::own_uid())).as_ref()?;
    let value = match name {
        "USER" => &own.name,
        "HOME" => &own.home,
        "SHELL" => &own.shell,
        _ => return None,
    };
    (!value.is_empty()).then(|| value.clone().into_bytes())
}
