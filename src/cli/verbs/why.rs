//! `tenure why`: every reason a job waits, with numbers, and the command that would clear each; for an ended job why it ended.

use std::path::Path;

use serde_json::json;

use crate::cli::around::around;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick;
use crate::cli::parse::pick::Named;
use crate::cli::view::advice::Obstacle;
use crate::cli::view::escape::line;
use crate::cli::view::obstacles;
use crate::cli::view::{table, task_shown};
use crate::cli::{run_over, worker_calls};
use crate::error::{Result, exit};
use crate::job::State;
use crate::run::unexecutable::{self, PATH_DEFAULT};
use crate::store::rows::Job;
use crate::store::task_rows;
use crate::store::why;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub which: Named,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let store = face.reader()?;
    let mut around = around(face, &store)?;
    let standing = worker_calls::standing(&store)?;
    for job in pick::jobs(&store, &args.which.ids)? {
        let now_ms = face.now_ms();
        let (facts, task) = store.read(|conn| Ok((why::why(conn, job.id, now_ms)?, task_rows::of_job(conn, job.id)?)))?;
        around.over = run_over::of(&store, job.id)?;
        around.script = script(&facts.job);
        let step = task.as_ref().map(|(task, stage)| task_shown::step_of(task, stage));
        let mut all = obstacles::of(&facts, &around);
        if let Some(advice) = standing.as_ref().filter(|_| !facts.job.state.is_terminal()) {
            all.retain(|obstacle| obstacle.code != "no_worker" || !advice.is_refused);
            all.push(Obstacle::new(advice.code, advice.text.clone(), advice.remedy.clone()));
        }
        if face.json {
            let listed: Vec<_> = all.iter().map(Obstacle::to_json).collect();
            let mut document = json!({"id": job.id, "state": facts.job.shown_state(), "obstacles": listed});
            if let Some((task, stage)) = &task {
                (document["task"], document["stage"]) = (task.id.into(), stage.as_str().into());
            }
            face.document(document)?;
        } else {
            face::print(&for_people(&facts.job, step.as_deref(), &all))?;
        }
    }
    Ok(exit::OK)
}

/// What is wrong with the script of a job, as it stands there now. Without a `PATH` of its own it is looked for in ours.
fn script(job: &Job) -> Option<String> {
    let argv = job.argv().ok()?;
    let env: serde_json::Value = serde_json::from_str(&job.env).unwrap_or_default();
    let path =
        env["PATH"].as_str().map_or_else(|| std::env::var("PATH").unwrap_or_else(|_| PATH_DEFAULT.to_owned()), str::to_owned);
    let tried = unexecutable::candidates(&argv.arguments()[0], path.as_bytes());
    let cwd = Path::new(&job.cwd);
    tried.iter().find_map(|file| unexecutable::carriage_return(file, cwd))
}

fn for_people(job: &Job, step: Option<&str>, all: &[Obstacle]) -> String {
    let mut text = format!("job {} is {}\n", job.id, line(&table::state(job)));
    if let Some(step) = step {
        text += &format!("  it is {}\n", line(step));
    }
    if all.is_empty() && job.shown_state() == State::Queued {
        text += "  ready: it starts in the next free slot\n";
    }
    for obstacle in all {
        text += &format!("  {}\n", line(&obstacle.text));
        if let Some(remedy) = &obstacle.remedy {
            text += &format!("      {}\n", line(remedy));
        }
    }
    text
}
