//! `tenure workspace`: directories that jobs of a key share, and that can be prepared again at any
//! time.

use clap::Subcommand;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::{time, values};
use crate::cli::verbs::ensure;
use crate::cli::view::{json, table};
use crate::document::workspace::{Seen, document, seen};
use crate::error::{Error, Result, exit};
use crate::job::Argv;
use crate::run::workspace::Work;
use crate::store::workspace;
use crate::units::size_text;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// List workspaces
    Ls,
    /// Remove a workspace that no job is in
    Rm {
        /// The workspace
        #[arg(value_parser = values::parse_workspace)]
        key: String,
    },
    /// Prepare a workspace if it does not exist, and print its path
    Ensure {
        /// The workspace
        #[arg(value_parser = values::parse_workspace)]
        key: String,
        /// Fill it with this shell command
        ///
        /// The command runs in the new and empty directory.
        #[arg(long, value_name = "COMMAND", value_parser = values::parse_shell)]
        prepare: Option<Argv>,
    },
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Ls => ls(face),
        Verb::Rm { key } => rm(face, &key),
        Verb::Ensure { key, prepare } => ensure::run(face, &key, prepare),
    }
}

fn ls(face: &Face) -> Result<u8> {
    let store = face.reader()?;
    let all = seen(store.place(), store.read(workspace::list)?);
    if face.json {
        face.document(json::list("workspaces", all.iter().map(document)))?;
    } else if all.is_empty() {
        face::say("there are no workspaces; tenure add --workspace KEY -- COMMAND makes one");
    } else {
        face::print(&for_people(&all, &face.now(), face.columns))?;
    }
    Ok(exit::OK)
}

fn for_people(all: &[Seen], now: &jiff::Zoned, columns: Option<usize>) -> String {
    let row = |seen: &Seen| {
        let row = &seen.row;
        vec![
            row.key.clone(),
            row.bytes.map(size_text).unwrap_or_default(),
            row.users.to_string(),
            time::local(row.last_used_at, now),
            row.prepare_command
                .as_deref()
                .and_then(|prepare_command| Argv::from_json(prepare_command).ok())
                .map(|a| crate::cli::view::escape::quote_whole(&a))
                .unwrap_or_default(),
            if seen.is_there { seen.path.clone() } else { format!("gone, to be prepared again: {}", seen.path) },
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table::table(&["workspace", "size", "jobs", "last used", "prepare", "path"], &[1, 2], &rows, columns)
}

/// The row first: from then on no run enters. A crash leaves a directory that belongs to no run,
/// and the worker sweeps it.
fn rm(face: &Face, key: &str) -> Result<u8> {
    let store = face.editor()?;
    let name = key.to_owned();
    let dir = store.write(move |conn| workspace::remove(conn, &name))?;
    let Some(work) = Work::find(store.place())? else { return Ok(exit::OK) };
    match work.remove(&dir, &|| true) {
        Ok(_) => Ok(exit::OK),
        Err(error) => Err(Error::io(
            format!("{error}; no job uses it any more, and the worker keeps trying to remove it"),
            std::io::Error::other("a part of it could not be removed"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::store::workspace::WorkspaceRow;

    #[test]
    fn a_hostile_workspace_is_shown_in_printable_lines() {
        let row = WorkspaceRow {
            key: "\x1b[2Ja\nb".into(),
            dir: "a-b".into(),
            prepare_command: Some("[\"\\u001b]0;x\"]".into()),
            bytes: Some(2048),
            prepared_at: 0,
            last_used_at: 0,
            measured_at: None,
            users: 1,
        };
        let all = seen(&Place::new("/no/q\x1b.db".into()), vec![row]);
        let text = for_people(&all, &time::here(5_000), None);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("2 KiB") || text.contains("2K") || text.contains("2.0"), "{text}");
        assert_eq!(document(&all[0])["present"], false);
    }
}
