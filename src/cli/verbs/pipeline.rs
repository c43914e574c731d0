//! `tenure pipeline`: the stages of tasks. `apply` reads a file, all or nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;

use clap::Subcommand;
use serde_json::json;

use crate::cli::face;
use crate::cli::face::{Face, versioned};
use crate::cli::parse::options::Surroundings;
use crate::cli::parse::pipeline_file;
use crate::cli::parse::pipeline_file::FILE_BYTES_MAX;
use crate::cli::parse::time;
use crate::cli::view::{escape, json, table};
use crate::cli::warn::path_warning::{ShellBy, Warnings};
use crate::document::pipeline::document;
use crate::error::{self, Error, Result, exit};
use crate::job::Pipeline;
use crate::job::pipeline::Stage;
use crate::run::machine;
use crate::store::Store;
use crate::store::pipeline::{self as store, PipelineRow};
use crate::units::size_text;

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Store the pipelines of a TOML file; running tasks keep their revision
    Apply {
        /// The file, or - for the standard input
        #[arg(value_name = "FILE|-")]
        file: OsString,
    },
    /// List pipelines
    Ls,
    /// Show a pipeline with its stages
    Show {
        /// The pipeline
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub fn run(face: &Face, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Apply { file } => apply(face, &file)?,
        Verb::Ls => ls(face)?,
        Verb::Show { name } => show(face, &name)?,
    }
    Ok(exit::OK)
}

fn apply(face: &Face, file: &OsString) -> Result<()> {
    let shown = file.to_string_lossy().into_owned();
    let text = read(file).map_err(|e| Error::Invalid(format!("{shown}: {e}")))?;
    let around = Surroundings {
        now: face.now(),
        cwd: std::env::current_dir().map_err(|e| Error::io("finding the working directory", e))?,
        env: std::env::vars_os().collect(),
        found: Vec::new(),
        draw: || machine::nonce().to_string(),
    };
    let pipelines =
        pipeline_file::parse(&text, &around).map_err(|e| Error::Invalid(format!("{shown}: {e}; nothing was applied")))?;
    let store = face.client()?;
    let now_ms = face.now_ms();
    warn(&store, &pipelines, &around);
    let applied = store.write(move |conn| {
        let one = |(name, pipeline): (&String, &Pipeline)| Ok((name.clone(), store::apply(conn, name, pipeline, now_ms)?));
        pipelines.iter().map(one).collect::<Result<Vec<_>>>()
    })?;
    if face.json {
        let one = |(name, applied): &(String, store::Applied)| json!({"name": name, "revision": applied.revision, "new": applied.is_new});
        return face.document(json::list("pipelines", applied.iter().map(one)));
    }
    for (name, applied) in &applied {
        let what = if applied.is_new { "" } else { ", as it was" };
        face::say(&format!("pipeline {name} is at revision {}{what}", applied.revision));
    }
    Ok(())
}

/// Warns about files that the worker will not find. An earlier stage may create what a later stage
/// runs.
fn warn(store: &Store, pipelines: &BTreeMap<String, Pipeline>, around: &Surroundings) {
    let mut warnings = Warnings::new(store, around, ShellBy::Key);
    for (name, pipeline) in pipelines {
        for (stage_name, stage) in pipeline.stages() {
            let of = format!("stage {stage_name} of pipeline {name}: ");
            warnings.check_template(&of, &stage.job, stage_name != pipeline.start());
        }
    }
    warnings.end();
}

/// Reads the whole text; no more than the limit is kept in memory.
fn read(file: &OsString) -> std::result::Result<String, String> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let read = if file == "-" {
        std::io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|e| error::words(&e))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it is longer than {}; put data in files of its own", size_text(FILE_BYTES_MAX as u64)));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

fn ls(face: &Face) -> Result<()> {
    let rows = face.reader()?.read(store::list)?;
    if face.json {
        let all = rows.iter().map(document).collect::<Result<Vec<_>>>()?;
        return face.document(json::list("pipelines", all));
    }
    if rows.is_empty() {
        face::say("there are no pipelines; tenure pipeline apply FILE makes some");
        return Ok(());
    }
    let now = face.now();
    let row = |row: &PipelineRow| {
        let stages = row
            .read()
            .map_or_else(|e| e.to_string(), |pipeline| pipeline.stages().map(|(name, _)| name).collect::<Vec<_>>().join(" "));
        vec![row.name.clone(), row.revision.to_string(), row.running.to_string(), time::local(row.applied_at, &now), stages]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    face::print(&table::table(&["pipeline", "revision", "tasks", "applied", "stages"], &[1, 2], &rows, face.columns))
}

fn show(face: &Face, name: &str) -> Result<()> {
    let name = name.to_owned();
    let row = face.reader()?.read(|conn| store::existing(conn, &name))?;
    if face.json {
        return face.print_line(&versioned(document(&row)?));
    }
    face::print(&for_people(&row, &face.now(), face.columns)?)
}

fn for_people(row: &PipelineRow, now: &jiff::Zoned, columns: Option<usize>) -> Result<String> {
    let pipeline = row.read()?;
    let params = pipeline.required().into_iter().collect::<Vec<_>>().join(", ");
    let text = table::pairs(&[
        ("pipeline", Some(row.name.clone())),
        ("revision", Some(format!("{}, applied {}", row.revision, time::local(row.applied_at, now)))),
        ("parameters", Some(params).filter(|params| !params.is_empty())),
        ("max rounds", Some(pipeline.max_rounds().to_string())),
        ("tasks", Some(format!("{} running", row.running))),
    ]);
    let stage = |(name, stage): (&str, &Stage)| {
        let start = if name == pipeline.start() { " (start)" } else { "" };
        let critical = if stage.critical { "critical" } else { "" };
        vec![
            format!("{name}{start}"),
            stage.on_success.clone().unwrap_or_else(|| "the task is done".into()),
            stage.on_failure.clone().unwrap_or_else(|| "the task fails".into()),
            stage.job.placement.lane.clone().unwrap_or_default(),
            critical.to_owned(),
            stage.teardown.as_ref().map(escape::quote_whole).unwrap_or_default(),
            escape::quote_whole(&stage.job.command),
        ]
    };
    let rows: Vec<_> = pipeline.stages().map(stage).collect();
    Ok(text
        + "\n"
        + &table::table(&["stage", "when done", "when failed", "lane", "", "teardown", "command"], &[], &rows, columns))
}
