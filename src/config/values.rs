//! The texts of settings that are words, and what each means.

use serde::Deserialize;

use crate::job::worker_limits::check_load;
use crate::units;

/// How a commit becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Commit, then flush the write-ahead log, then acknowledge: one flush for all waiting callers.
    #[default]
    Flush,
    /// SQLite's own way: each commit flushes.
    Full,
}

/// What happens to the running jobs when the worker is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnTerm {
    Detach,
    Drain,
    End,
}

/// When output is coloured. `auto`: on a terminal, unless `NO_COLOR` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    // No doc comments on the variants: they would make the help of `--color` five lines long.
    #[default]
    Auto,
    Always,
    Never,
}

pub(super) fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "flush" => Ok(Durability::Flush),
        "full" => Ok(Durability::Full),
        other => Err(format!("{other:?} is neither flush nor full")),
    }
}

pub(super) fn parse_on_term(text: &str) -> Result<OnTerm, String> {
    match text {
        "detach" => Ok(OnTerm::Detach),
        "drain" => Ok(OnTerm::Drain),
        "end" => Ok(OnTerm::End),
        other => Err(format!("{other:?} is not one of detach, drain, end")),
    }
}

pub(super) fn parse_colour(text: &str) -> Result<Colour, String> {
    match text {
        "auto" => Ok(Colour::Auto),
        "always" => Ok(Colour::Always),
        "never" => Ok(Colour::Never),
        other => Err(format!("{other:?} is not one of auto, always, never")),
    }
}

pub(super) fn parse_keep(text: &str) -> Result<Option<u64>, String> {
    if text == "forever" { Ok(None) } else { units::parse_duration(text).map(Some).map_err(|e| format!("{e}, or forever")) }
}

pub(super) fn parse_load(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|load| check_load(*load).is_ok())
        .ok_or_else(|| format!("{text:?} is not a load average such as 8.0"))
}

pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}
