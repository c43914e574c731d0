//! `tenure config`: the settings, and the source of each.

use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::{escape, table};
use crate::config::keys::unknown;
use crate::config::{Colour, Durability, OnTerm, Setting, Settings, Source};
use crate::error::{Error, Result, exit};
use crate::job::hook::HookRule;
use crate::job::pool;
use crate::units::{duration_exactly, parse_size, size_text};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the value of this setting alone, such as db
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
}

/// A setting: its key, its value for a script, its value for a person (as the file accepts it, if
/// it is set), and its source.
struct Row {
    key: &'static str,
    document: Value,
    text: String,
    source: Source,
}

impl Row {
    fn new(key: &'static str, document: Value, text: Option<String>, unset: &str, source: &Source) -> Self {
        let mut document = document;
        document["source"] = json!(source.to_string());
        Self { key, document, text: text.unwrap_or_else(|| unset.to_owned()), source: source.clone() }
    }

    fn text(key: &'static str, text: &str, source: &Source) -> Self {
        Self::new(key, json!({"value": text}), Some(text.to_owned()), "", source)
    }

    fn duration(key: &'static str, ms: Option<u64>, unset: &str, source: &Source) -> Self {
        let text = ms.map(duration_exactly);
        Self::new(key, json!({"value": text.as_deref().unwrap_or(unset), "value_ms": ms}), text, unset, source)
    }

    fn size(key: &'static str, bytes: Option<u64>, source: &Source) -> Self {
        let exact =
            |bytes: u64| Some(size_text(bytes)).filter(|text| parse_size(text) == Ok(bytes)).unwrap_or_else(|| bytes.to_string());
        let text = bytes.map(exact);
        Self::new(key, json!({"value": text, "value_bytes": bytes}), text, "none", source)
    }
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let mut rows = rows(&face.settings);
    if let Some(key) = &args.key {
        rows.retain(|row| row.key == key);
        let Some(row) = rows.first() else { return Err(Error::Invalid(unknown(key))) };
        if !face.json {
            // To a pipe the bytes of the path are written unchanged: a script opens the file with
            // them.
            if row.key == "db" && !std::io::stdout().is_terminal() {
                face::write_bytes(&[face.settings.db.value.as_os_str().as_bytes(), b"\n"].concat())?;
            } else {
                face::print(&format!("{}\n", escape::line(&row.text)))?;
            }
            return Ok(exit::OK);
        }
    }
    if face.json {
        let settings = rows.into_iter().map(|row| (row.key.to_owned(), row.document));
        face.document(json!({"settings": settings.collect::<serde_json::Map<_, _>>()}))?;
    } else {
        let shown: Vec<_> = rows.into_iter().map(|row| vec![row.key.into(), row.text, row.source.to_string()]).collect();
        face::print(&table::table(&["setting", "value", "from"], &[], &shown, face.columns))?;
    }
    Ok(exit::OK)
}

fn number(key: &'static str, setting: &Setting<u32>) -> Row {
    Row::new(key, json!({"value": setting.value}), Some(setting.value.to_string()), "", &setting.source)
}

fn hooks(s: &Settings) -> Row {
    let rules = &s.hooks.value;
    let document = |rule: &HookRule| {
        json!({"name": rule.name, "event": rule.event.as_str(), "command": rule.command, "queue": rule.queue, "label": rule.label,
               "reasons": rule.reasons})
    };
    let text = (!rules.is_empty())
        .then(|| rules.iter().map(|rule| format!("{} of {}", rule.event, rule.name)).collect::<Vec<_>>().join(", "));
    let all = rules.iter().map(document).collect::<Vec<_>>();
    Row::new("hooks", json!({"value": all}), text, "none", &s.hooks.source)
}

fn rows(s: &Settings) -> Vec<Row> {
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
    vec![
        Row::text("db", &s.db.value.to_string_lossy(), &s.db.source),
        Row::new(
            "slots",
            json!({"value": s.slots.value}),
            s.slots.value.map(|n| n.to_string()),
            "one for each CPU",
            &s.slots.source,
        ),
        Row::text("durability", durability, &s.durability.source),
        Row::duration("keep", s.keep_ms.value, "forever", &s.keep_ms.source),
        Row::size("log_limit", Some(s.log_limit_bytes.value), &s.log_limit_bytes.source),
        Row::new("drain", json!({"value": s.drain.value}), Some(s.drain.value.to_string()), "", &s.drain.source),
        Row::new(
            "on_term",
            json!({"value": on_term}),
            on_term.map(str::to_owned),
            "by what survives the worker",
            &s.on_term.source,
        ),
        Row::duration("stop_timeout", Some(s.stop_timeout_ms.value), "", &s.stop_timeout_ms.source),
        Row::new(
            "allow_shared",
            json!({"value": s.allow_shared.value}),
            Some(s.allow_shared.value.to_string()),
            "",
            &s.allow_shared.source,
        ),
        Row::new("handover", json!({"value": s.handover.value}), Some(s.handover.value.to_string()), "", &s.handover.source),
        Row::text("color", color, &s.color.source),
        Row::size("floor.memory", s.floor_memory_bytes.value, &s.floor_memory_bytes.source),
        Row::size("floor.disk", s.floor_disk_bytes.value, &s.floor_disk_bytes.source),
        Row::new(
            "floor.load",
            json!({"value": s.floor_load.value}),
            s.floor_load.value.map(|n| n.to_string()),
            "none",
            &s.floor_load.source,
        ),
        Row::size("workspace.max_size", s.workspace_max_size_bytes.value, &s.workspace_max_size_bytes.source),
        Row::new("repair", json!({"value": s.repair.value}), Some(s.repair.value.to_string()), "", &s.repair.source),
        hooks(s),
        Row::new(
            "pool",
            json!({"value": s.pools.value}),
            (!s.pools.value.is_empty()).then(|| pool::text(&s.pools.value)),
            "none",
            &s.pools.source,
        ),
        Row::new("system", json!({"value": s.system.value}), Some(s.system.value.to_string()), "", &s.system.source),
        Row::text("people.socket", &s.people.socket.value.to_string_lossy(), &s.people.socket.source),
        Row::new(
            "people.group",
            json!({"value": s.people.group.value}),
            s.people.group.value.clone(),
            "none",
            &s.people.group.source,
        ),
        Row::text("people.queues", &s.people.queues.value, &s.people.queues.source),
        number("people.max_queued", &s.people.queued),
        number("people.max_running", &s.people.running),
        number("people.max_kept", &s.people.kept),
        Row::size("people.log_space", Some(s.people.log_space_bytes.value), &s.people.log_space_bytes.source),
    ]
}
