//! The switches of the repairs, by name.

use std::collections::BTreeMap;

use crate::config::Setting;
use crate::config::keys::unknown;
use crate::error::{Error, Result};
use crate::store::heal::Healers;

/// Which healers work.
///
/// # Errors
/// When a name is not that of a healer.
pub fn healers(switches: &Setting<BTreeMap<String, bool>>) -> Result<Healers> {
    let mut healers = Healers::default();
    for (name, on) in &switches.value {
        let Some(switch) = switch(&mut healers, name) else {
            return Err(Error::Invalid(format!("{}: {}", switches.source, unknown(&format!("healers.{name}")))));
        };
        *switch = *on;
    }
    Ok(healers)
}

pub fn switch<'a>(healers: &'a mut Healers, name: &str) -> Option<&'a mut bool> {
    Some(match name {
        "unknown_state" => &mut healers.unknown_state,
        "queued_with_owner" => &mut healers.queued_with_owner,
        "running_without_run" => &mut healers.running_without_run,
        "ended_not_whole" => &mut healers.ended_not_whole,
        "negative_counts" => &mut healers.negative_counts,
        "unreadable" => &mut healers.unreadable,
        "run_without_job" => &mut healers.run_without_job,
        _ => return None,
    })
}
