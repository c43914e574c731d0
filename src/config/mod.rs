//! The settings of one invocation, and the source of each.
//!
//! Precedence: flag > environment > `config.toml` > default. Pure except for [`read_file`]:
//! environment and flags are arguments. An unknown key is refused: a misspelt limit that is
//! silently ignored would not be enforced.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::job::hook::HookRule;
use crate::job::limits;
use crate::job::pool;
use crate::job::worker_limits::{check_load, check_log_limit, check_slots};
use crate::units;
pub use people::People;
pub use values::{Colour, Durability, OnTerm};
use values::{parse_bool, parse_colour, parse_durability, parse_keep, parse_load, parse_on_term};

/// Largest `config.toml` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Below the ten seconds of container runtimes, in milliseconds.
const STOP_TIMEOUT_MS_DEFAULT: u64 = 8_000;

/// The source of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Flag(&'static str),
    Env(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Env(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub source: Source,
}

/// The settings on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub db: Option<PathBuf>,
    pub color: Option<Colour>,
    pub slots: Option<usize>,
    pub drain: bool,
    pub on_term: Option<OnTerm>,
    pub stop_timeout_ms: Option<u64>,
    pub allow_shared: bool,
    pub system: bool,
}

/// The effective settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The database file.
    pub db: Setting<PathBuf>,
    /// Jobs that run at once. `None`: as many as CPUs.
    pub slots: Setting<Option<usize>>,
    pub durability: Setting<Durability>,
    /// Ended jobs older than this are pruned by the worker, in milliseconds. `None`: kept forever.
    pub keep_ms: Setting<Option<u64>>,
    /// Log limit of jobs without one, in bytes.
    pub log_limit_bytes: Setting<u64>,
    /// Nothing is claimed while less memory than this is available, in bytes.
    pub floor_memory_bytes: Setting<Option<u64>>,
    /// Nothing is claimed while less space than this is free on the file's disk, in bytes.
    pub floor_disk_bytes: Setting<Option<u64>>,
    /// Nothing is claimed while the load average of one minute is above this.
    pub floor_load: Setting<Option<f64>>,
    /// On TERM, the worker waits for its runs.
    pub drain: Setting<bool>,
    /// What TERM means. `None`: depends on what survives the worker.
    pub on_term: Setting<Option<OnTerm>>,
    /// Longest time between TERM and KILL if the runs are ended with the worker, in milliseconds.
    pub stop_timeout_ms: Setting<u64>,
    /// A worker accepts a file that other users may write: they can then run commands as its user.
    pub allow_shared: Setting<bool>,
    /// `add` hands its jobs to the running worker.
    pub handover: Setting<bool>,
    pub color: Setting<Colour>,
    /// Above this total the least recently used workspaces are evicted, in bytes. `None`: they are
    /// kept.
    pub workspace_max_size_bytes: Setting<Option<u64>>,
    /// The worker repairs rows that break a rule of the file.
    pub repair: Setting<bool>,
    /// Commands that tell of the end of jobs.
    pub hooks: Setting<Vec<HookRule>>,
    /// Sizes of pools.
    pub pools: Setting<BTreeMap<String, u32>>,
    /// The system worker is meant: for root, to be it; for other users, to be its client.
    pub system: Setting<bool>,
    /// What users of the system worker may have.
    pub people: People,
}

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    db: Option<PathBuf>,
    slots: Option<usize>,
    durability: Option<Durability>,
    keep: Option<String>,
    log_limit: Option<String>,
    drain: Option<bool>,
    on_term: Option<OnTerm>,
    stop_timeout: Option<String>,
    allow_shared: Option<bool>,
    handover: Option<bool>,
    color: Option<Colour>,
    floor: Floor,
    workspace: WorkspaceTable,
    repair: Option<bool>,
    hooks: Option<toml::Table>,
    pool: Option<BTreeMap<String, i64>>,
    system: Option<bool>,
    people: people::Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WorkspaceTable {
    max_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Floor {
    memory: Option<String>,
    disk: Option<String>,
    load: Option<f64>,
}

/// The surroundings of an invocation: its environment, whether it is root's, and its configuration
/// file.
pub struct Around<'a> {
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    pub is_root: bool,
}

impl Around<'_> {
    /// Returns a variable that is set and not empty.
    fn text(&self, name: &str) -> Result<Option<String>> {
        match (self.env)(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| Error::Invalid(format!("the variable {name} is not UTF-8"))),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        (self.env)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Returns `$XDG_..._HOME`, or its default below the home directory.
    fn home(&self, xdg: &str, default: &str) -> Option<PathBuf> {
        // The standard says that a relative path there must be ignored.
        self.path(xdg).filter(|p| p.is_absolute()).or_else(|| self.path("HOME").map(|home| home.join(default)))
    }

    /// Returns the path of the configuration file, and whether it was named explicitly.
    pub fn config_path(&self) -> Option<(PathBuf, bool)> {
        if let Some(named) = self.path("TENURE_CONFIG") {
            return Some((named, true));
        }
        if self.is_root {
            return Some(("/etc/tenure/config.toml".into(), false));
        }
        self.home("XDG_CONFIG_HOME", ".config").map(|dir| (dir.join("tenure/config.toml"), false))
    }

    fn default_db(&self) -> Result<PathBuf> {
        if self.is_root {
            return Ok("/var/lib/tenure/tenure.db".into());
        }
        let dir = self.home("XDG_STATE_HOME", ".local/state");
        dir.map(|dir| dir.join("tenure/tenure.db")).ok_or_else(|| {
            Error::Invalid("HOME is not set, so there is no default place for the file; name one with --db".into())
        })
    }
}

/// Reads the configuration file; `None` if there is none and none was named.
///
/// # Errors
/// It cannot be read, or is missing although it was named.
pub fn read_file(around: &Around<'_>) -> Result<Option<(PathBuf, String)>> {
    let Some((path, named)) = around.config_path() else {
        return Ok(None);
    };
    let what = || format!("reading {}", path.display());
    match std::fs::metadata(&path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return Err(Error::Invalid(format!("{} is not a configuration: it has {} bytes", path.display(), meta.len())));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !named => return Ok(None),
        Err(e) if named => {
            return Err(Error::Invalid(format!("TENURE_CONFIG names {}, which cannot be read: {e}", path.display())));
        }
        Err(e) => return Err(Error::io(what(), e)),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(what(), e))?;
    Ok(Some((path, text)))
}

impl Settings {
    /// Combines flags, environment, file and defaults, in this precedence.
    ///
    /// # Errors
    /// A value cannot be parsed; the text says where it comes from.
    pub fn resolve(flags: &Flags, around: &Around<'_>, file: Option<(PathBuf, String)>) -> Result<Self> {
        let (path, file) = match file {
            None => (PathBuf::new(), File::default()),
            Some((path, text)) => {
                let wrong =
                    |e: toml::de::Error| Error::Invalid(format!("{}: {}", path.display(), keys::in_words(&e.to_string())));
                if let Some(name) = keys::first_unknown(&toml::from_str(&text).map_err(wrong)?) {
                    return Err(Error::Invalid(format!("{}: {}", path.display(), keys::unknown(&name))));
                }
                let file = toml::from_str(&text).map_err(wrong)?;
                (path, file)
            }
        };
        let layers = Layers { around, path: &path };
        let db = match flags.db.clone() {
            Some(db) => Setting { value: db, source: Source::Flag("--db") },
            None => layers.path("TENURE_DB", file.db, around)?,
        };
        Ok(Self {
            db,
            slots: layers.slots(flags.slots, file.slots)?,
            durability: layers.of("durability", None, file.durability, parse_durability)?.or(Durability::default()),
            keep_ms: layers.of("keep", None, layers.text("keep", file.keep, parse_keep)?, parse_keep)?.or(None),
            log_limit_bytes: layers.log_limit(file.log_limit)?,
            floor_memory_bytes: layers.size("floor_memory", file.floor.memory)?,
            floor_disk_bytes: layers.size("floor_disk", file.floor.disk)?,
            floor_load: layers.load(file.floor.load)?,
            drain: layers.of("drain", flags.drain.then_some(("--drain", true)), file.drain, parse_bool)?.or(false),
            on_term: layers
                .of("on_term", flags.on_term.map(|on| ("--on-term", on)), file.on_term, parse_on_term)?
                .map(Some)
                .or(None),
            stop_timeout_ms: layers.stop_timeout(flags.stop_timeout_ms, file.stop_timeout)?,
            allow_shared: layers
                .of("allow_shared", flags.allow_shared.then_some(("--allow-shared", true)), file.allow_shared, parse_bool)?
                .or(false),
            handover: layers.of("handover", None, file.handover, parse_bool)?.or(true),
            color: layers.of("color", flags.color.map(|c| ("--color", c)), file.color, parse_colour)?.or(Colour::default()),
            workspace_max_size_bytes: layers.size("workspace_max_size", file.workspace.max_size)?,
            repair: layers.of("repair", None, file.repair, parse_bool)?.or(true),
            hooks: layers.hooks(file.hooks)?,
            pools: layers.pools(file.pool)?,
            system: layers.of("system", flags.system.then_some(("--system", true)), file.system, parse_bool)?.or(false),
            people: People::resolve(&layers, file.people)?,
        })
    }
}

/// A setting that may be missing.
struct Given<T>(Option<Setting<T>>);

impl<T> Given<T> {
    fn or(self, default: T) -> Setting<T> {
        self.0.unwrap_or(Setting { value: default, source: Source::Default })
    }

    fn map<U>(self, f: impl FnOnce(T) -> U) -> Given<U> {
        Given(self.0.map(|s| Setting { value: f(s.value), source: s.source }))
    }
}

struct Layers<'a> {
    around: &'a Around<'a>,
    path: &'a Path,
}

impl Layers<'_> {
    fn plain<T>(&self, file: Option<T>) -> Given<T> {
        Given(file.map(|value| Setting { value, source: Source::File(self.path.to_owned()) }))
    }

    fn of<T>(
        &self,
        key: &str,
        flag: Option<(&'static str, T)>,
        file: Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Given<T>> {
        if let Some((name, value)) = flag {
            return Ok(Given(Some(Setting { value, source: Source::Flag(name) })));
        }
        let name = format!("TENURE_{}", key.to_ascii_uppercase());
        if let Some(text) = self.around.text(&name)? {
            let value = parse(&text).map_err(|e| Error::Invalid(format!("{name}: {e}")))?;
            return Ok(Given(Some(Setting { value, source: Source::Env(name) })));
        }
        Ok(self.plain(file))
    }

    /// Parses a value of the file in its human form.
    fn text<T>(&self, key: &str, value: Option<String>, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>> {
        value.map(|text| parse(&text).map_err(|e| Error::Invalid(format!("{}: {key}: {e}", self.path.display())))).transpose()
    }

    /// It is a table, so it has no variable.
    fn hooks(&self, file: Option<toml::Table>) -> Result<Setting<Vec<HookRule>>> {
        let rules = file.map(hooks::parse).transpose().map_err(|e| Error::Invalid(format!("{}: {e}", self.path.display())))?;
        Ok(self.plain(rules).or(Vec::new()))
    }

    /// It is a table, so it has no variable.
    fn pools(&self, file: Option<BTreeMap<String, i64>>) -> Result<Setting<BTreeMap<String, u32>>> {
        let checked = |(name, size): (String, i64)| {
            pool::check_name(&name)
                .and_then(|()| pool::check_size(size))
                .map_err(|e| Error::Invalid(format!("{}: pool.{}: {e}", self.path.display(), units::shorten(&name))))?;
            Ok((name, u32::try_from(size).unwrap_or_default()))
        };
        let pools = file.map(|all| all.into_iter().map(checked).collect::<Result<_>>()).transpose()?;
        Ok(self.plain(pools).or(BTreeMap::new()))
    }

    fn size(&self, key: &str, file: Option<String>) -> Result<Setting<Option<u64>>> {
        let file = self.text(key, file, units::parse_size)?;
        Ok(self.of(key, None, file, units::parse_size)?.map(Some).or(None))
    }

    fn load(&self, file: Option<f64>) -> Result<Setting<Option<f64>>> {
        file.map_or(Ok(()), check_load).map_err(|e| Error::Invalid(format!("{}: floor.load: {e}", self.path.display())))?;
        Ok(self.of("floor_load", None, file, parse_load)?.map(Some).or(None))
    }

    fn log_limit(&self, file: Option<String>) -> Result<Setting<u64>> {
        let parse = |text: &str| units::parse_size(text).and_then(|bytes| check_log_limit(bytes).map(|()| bytes));
        let file = self.text("log_limit", file, parse)?;
        Ok(self.of("log_limit", None, file, parse)?.or(limits::LOG_LIMIT_BYTES_DEFAULT))
    }

    fn stop_timeout(&self, flag: Option<u64>, file: Option<String>) -> Result<Setting<u64>> {
        let file = self.text("stop_timeout", file, units::parse_duration)?;
        let flag = flag.map(|ms| ("--stop-timeout", ms));
        Ok(self.of("stop_timeout", flag, file, units::parse_duration)?.or(STOP_TIMEOUT_MS_DEFAULT))
    }

    fn slots(&self, flag: Option<usize>, file: Option<usize>) -> Result<Setting<Option<usize>>> {
        let given =
            self.of("slots", flag.map(|n| ("--slots", n)), file, |t| t.parse().map_err(|_| format!("{t:?} is not a number")))?;
        if let Some(slots) = &given.0 {
            check_slots(slots.value).map_err(|e| Error::Invalid(format!("{}: {e}", slots.source)))?;
        }
        Ok(given.map(Some).or(None))
    }

    fn path(&self, name: &str, file: Option<PathBuf>, around: &Around<'_>) -> Result<Setting<PathBuf>> {
        if let Some(path) = around.path(name) {
            return Ok(Setting { value: path, source: Source::Env(name.to_owned()) });
        }
        match self.plain(file).0 {
            Some(setting) => Ok(setting),
            None => Ok(Setting { value: around.default_db()?, source: Source::Default }),
        }
    }
}

mod hooks;
pub mod keys;
mod people;
mod values;

#[cfg(test)]
mod tests;
