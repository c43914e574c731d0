//! `[people]`: where the system worker listens, and what each user may have.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Layers, Setting};
use crate::error::{Error, Result};
use crate::job::names;
use crate::job::people::Limits;
use crate::units;

/// A directory that root alone writes, and all may enter.
const SOCKET: &str = "/run/tenure/system.sock";

/// The settings.
#[derive(Debug, Clone, PartialEq)]
pub struct People {
    /// Where the system worker listens.
    pub socket: Setting<PathBuf>,
    /// The group whose members may end and hold the jobs of users.
    pub group: Setting<Option<String>>,
    /// The queues whose jobs users may add, with commas between them.
    pub queues: Setting<String>,
    /// Most queued jobs of one user.
    pub queued: Setting<u32>,
    /// Most running jobs of one user.
    pub running: Setting<u32>,
    /// Most jobs of one user in the file.
    pub kept: Setting<u32>,
    /// Space of the logs of one user, in bytes.
    pub log_space_bytes: Setting<u64>,
}

/// The table of `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Table {
    socket: Option<PathBuf>,
    group: Option<String>,
    queues: Option<String>,
    max_queued: Option<u32>,
    max_running: Option<u32>,
    max_kept: Option<u32>,
    log_space: Option<String>,
}

impl People {
    pub(super) fn resolve(layers: &Layers<'_>, file: Table) -> Result<Self> {
        let limits = Limits::default();
        let log_space = layers.text("people.log_space", file.log_space, units::parse_size)?;
        let queues = layers.of("people_queues", None, file.queues, |text| Ok(text.to_owned()))?.or(limits.queues.join(","));
        let of_each = names_in(&queues.value).iter().try_for_each(|name| names::name(name));
        of_each.map_err(|e| Error::Invalid(format!("{}: people.queues: {e}", queues.source)))?;
        Ok(Self {
            socket: layers.of("people_socket", None, file.socket, |text| Ok(PathBuf::from(text)))?.or(PathBuf::from(SOCKET)),
            group: layers.of("people_group", None, file.group, |text| Ok(text.to_owned()))?.map(Some).or(None),
            queues,
            queued: number(layers, "people_max_queued", file.max_queued, limits.queued)?,
            running: number(layers, "people_max_running", file.max_running, limits.running)?,
            kept: number(layers, "people_max_kept", file.max_kept, limits.kept)?,
            log_space_bytes: layers.of("people_log_space", None, log_space, units::parse_size)?.or(limits.log_bytes),
        })
    }

    /// Returns what each user may have. `log_limit_bytes`: the limit of a log without one.
    pub fn limits(&self, log_limit_bytes: u64) -> Limits {
        Limits {
            queues: names_in(&self.queues.value),
            queued: self.queued.value,
            running: self.running.value,
            kept: self.kept.value,
            log_bytes: self.log_space_bytes.value,
            log_limit_bytes,
        }
    }
}

fn names_in(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}

fn number(layers: &Layers<'_>, key: &str, file: Option<u32>, default: u32) -> Result<Setting<u32>> {
    let parse = |text: &str| text.parse().map_err(|_| format!("{:?} is not a number", units::shorten(text)));
    let given = layers.of(key, None, file, parse)?.or(default);
    match given.value {
        0 => Err(Error::Invalid(format!("{}: {}: it is at least 1", given.source, key.replacen('_', ".", 1)))),
        _ => Ok(given),
    }
}
