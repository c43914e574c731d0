//! From the settings to the options of a worker.

use crate::cli::face::Face;
use crate::config::{self, Settings, Source};
use crate::error::{Error, Result};
use crate::host::gates::Floors;
use crate::host::people::Door;
use crate::host::users;
use crate::queue::people;
use crate::worker::{OnTerm, Options, SlotsFrom};

/// Returns the floors of the configuration.
pub fn floors(settings: &Settings) -> Floors {
    Floors {
        memory_bytes: settings.floor_memory_bytes.value,
        disk_bytes: settings.floor_disk_bytes.value,
        load_max: settings.floor_load.value,
    }
}

/// Returns the options of a worker for everything in the file.
pub fn options(face: &Face) -> Options {
    let settings = &face.settings;
    let defaults = Options::work();
    Options {
        slots: settings.slots.value.unwrap_or(defaults.slots),
        slots_from: slots_from(&settings.slots.source),
        on_term: on_term(settings),
        stop_timeout_ms: settings.stop_timeout_ms.value,
        floors: floors(settings),
        repair: settings.repair.value,
        keep_ms: settings.keep_ms.value,
        log_limit_bytes: settings.log_limit_bytes.value,
        workspaces_bytes_max: settings.workspace_max_size_bytes.value,
        hooks: Some(settings.hooks.value.clone()),
        pools: settings.pools.value.iter().map(|(name, size)| (name.clone(), *size)).collect(),
        owns_process: true,
        people: settings.people.limits(settings.log_limit_bytes.value),
        ..defaults
    }
}

/// An option is given for this start; all else is a default that the machine keeps.
fn slots_from(source: &Source) -> SlotsFrom {
    match source {
        Source::Flag(name) => SlotsFrom::Named((*name).to_owned()),
        other => SlotsFrom::Default(other.to_string()),
    }
}

/// Returns what the system worker opens for other users; `None`: this is not that worker.
///
/// # Errors
/// The group of operators does not exist.
pub fn door(settings: &Settings) -> Result<Option<Door>> {
    if !settings.system.value {
        return Ok(None);
    }
    let group = settings.people.group.value.as_deref();
    let unknown = |name: &str| {
        Error::Invalid(format!("people.group: there is no group {name:?} in /etc/group; groupadd makes one, or omit it"))
    };
    let operators = group.map(|name| users::group(name).ok_or_else(|| unknown(name))).transpose()?;
    let answer = people::answer(settings.people.limits(settings.log_limit_bytes.value));
    Ok(Some(Door { socket: settings.people.socket.value.clone(), operators, answer }))
}

/// Returns what TERM means to a worker; `drain` is the older name of one of the values.
fn on_term(settings: &Settings) -> Option<OnTerm> {
    match settings.on_term.value {
        Some(config::OnTerm::Detach) => Some(OnTerm::Detach),
        Some(config::OnTerm::Drain) => Some(OnTerm::Drain),
        Some(config::OnTerm::End) => Some(OnTerm::End),
        None => settings.drain.value.then_some(OnTerm::Drain),
    }
}
