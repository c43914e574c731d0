//! `tenure config`: the settings, and where each came from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::face::{self, Face};
use super::table;
use crate::config::{Colour, Durability, OnTerm, Setting, Settings, Source};
use crate::error::{Error, Result, exit};
use crate::store::heal::Healers;
use crate::units::{duration_text, size_text};

/// A setting: its key, what a script reads, what a person reads, and where it came from.
struct Row(&'static str, Value, String, Source);

pub fn run(face: &Face) -> Result<u8> {
    let rows = rows(&face.settings);
    if face.json {
        let settings = rows
            .iter()
            .map(|Row(key, value, _, source)| ((*key).to_owned(), json!({"value": value, "source": source.to_string()})));
        face.document(json!({"settings": settings.collect::<serde_json::Map<_, _>>()}))?;
    } else {
        let shown: Vec<_> =
            rows.into_iter().map(|Row(key, _, text, source)| vec![key.into(), text, source.to_string()]).collect();
        face::print(&table::table(&["setting", "value", "from"], &[], &shown, face.columns))?;
    }
    Ok(exit::OK)
}

/// Which healers work.
///
/// # Errors
/// When a name is not that of a healer.
pub fn healers(switches: &Setting<BTreeMap<String, bool>>) -> Result<Healers> {
    let mut healers = Healers::default();
    for (name, on) in &switches.value {
        let switch = match name.as_str() {
            "unknown_state" => &mut healers.unknown_state,
            "queued_with_owner" => &mut healers.queued_with_owner,
            "running_without_run" => &mut healers.running_without_run,
            "ended_not_whole" => &mut healers.ended_not_whole,
            "negative_counts" => &mut healers.negative_counts,
            "unreadable" => &mut healers.unreadable,
            "run_without_job" => &mut healers.run_without_job,
            _ => {
                return Err(Error::Usage(format!(
                    "{}: there is no healer {name:?}; there are unknown_state, queued_with_owner, running_without_run, ended_not_whole, \
                     negative_counts, unreadable and run_without_job",
                    switches.source
                )));
            }
        };
        *switch = *on;
    }
    Ok(healers)
}

fn rows(s: &Settings) -> Vec<Row> {
    let none = || "none".to_owned();
    let healers: Vec<String> = s.healers.value.iter().map(|(name, on)| format!("{name}={on}")).collect();
    let durability = match s.durability.value {
        Durability::Flush => "flush",
        Durability::Full => "full",
    };
    let color = match s.color.value {
        Colour::Auto => "auto",
        Colour::Always => "always",
        Colour::Never => "never",
    };
    let on_term = s.on_term.value.map(|on| match on {
        OnTerm::Detach => "detach",
        OnTerm::Drain => "drain",
        OnTerm::End => "end",
    });
    let db = s.db.value.to_string_lossy().into_owned();
    let size = |bytes: Option<u64>| bytes.map_or_else(none, size_text);
    vec![
        Row("db", json!(db), db.clone(), s.db.source.clone()),
        Row(
            "slots",
            json!(s.slots.value),
            s.slots.value.map_or_else(|| "one for each CPU".into(), |n| n.to_string()),
            s.slots.source.clone(),
        ),
        Row("durability", json!(durability), durability.into(), s.durability.source.clone()),
        Row(
            "keep_ms",
            json!(s.keep_ms.value),
            s.keep_ms.value.map_or_else(|| "forever".into(), duration_text),
            s.keep_ms.source.clone(),
        ),
        Row(
            "log_limit_bytes",
            json!(s.log_limit_bytes.value),
            size_text(s.log_limit_bytes.value),
            s.log_limit_bytes.source.clone(),
        ),
        Row(
            "floor_memory_bytes",
            json!(s.floor_memory_bytes.value),
            size(s.floor_memory_bytes.value),
            s.floor_memory_bytes.source.clone(),
        ),
        Row(
            "floor_disk_bytes",
            json!(s.floor_disk_bytes.value),
            size(s.floor_disk_bytes.value),
            s.floor_disk_bytes.source.clone(),
        ),
        Row(
            "floor_load",
            json!(s.floor_load.value),
            s.floor_load.value.map_or_else(none, |n| n.to_string()),
            s.floor_load.source.clone(),
        ),
        Row("on_term", json!(on_term), on_term.unwrap_or("by what survives the worker").into(), s.on_term.source.clone()),
        Row(
            "stop_timeout_ms",
            json!(s.stop_timeout_ms.value),
            duration_text(s.stop_timeout_ms.value),
            s.stop_timeout_ms.source.clone(),
        ),
        Row("drain", json!(s.drain.value), s.drain.value.to_string(), s.drain.source.clone()),
        Row("allow_shared", json!(s.allow_shared.value), s.allow_shared.value.to_string(), s.allow_shared.source.clone()),
        Row("color", json!(color), color.into(), s.color.source.clone()),
        Row(
            "workspace_max_size_bytes",
            json!(s.workspace_max_size_bytes.value),
            size(s.workspace_max_size_bytes.value),
            s.workspace_max_size_bytes.source.clone(),
        ),
        Row(
            "healers",
            json!(s.healers.value),
            if healers.is_empty() { "all on".into() } else { healers.join(", ") },
            s.healers.source.clone(),
        ),
    ]
}
