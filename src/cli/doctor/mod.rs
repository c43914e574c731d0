//! `tenure doctor`: finds and explains problems of the file, its processes, locks, permissions and
//! disk.
//!
//! The checks change nothing. `--fix` is one round of a worker that claims nothing: the same code
//! that repairs at each start of one, so that there is one way to repair. It never makes a decision
//! for a person.

pub(in crate::cli) mod checks;
pub(in crate::cli) mod crash_test;
pub(in crate::cli) mod finding;
pub(in crate::cli) mod run_checks;

use serde_json::{Value, json};

use std::time::Duration;

use crate::cli::copies;
use crate::cli::doctor::finding::Finding;
use crate::cli::worker_options;
use crate::host::lock::Holder;
use crate::host::waker;
use crate::job::JobId;
use crate::store::Role;
use crate::store::file::standing;
use crate::store::job::claim::Scope;
use crate::store::job::launched;
use crate::worker::{Ended, Options, Until, Worker};

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::view::escape;
use crate::error::{Error, Result, exit};
use crate::job::RunId;
use crate::run::runfile;

/// A job that does not exist: a worker that may claim only this one claims nothing.
const NO_JOB: JobId = JobId(0);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repair what can be repaired without harm
    ///
    /// No worker may be running.
    #[arg(long)]
    pub fix: bool,
    /// Say what this file is: moved, or a copy
    ///
    /// moved: it was moved here, and the one that it was is gone. copy: it is a file of its own
    /// from now on; every job that had not ended is held, schedules are paused. No worker may be
    /// running.
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true, conflicts_with_all = ["fix", "crash_test"])]
    pub is: Option<Is>,
    /// Check that the promises hold on this machine
    ///
    /// A worker and a shim are killed, on a file of their own.
    #[arg(long, conflicts_with = "fix")]
    pub crash_test: bool,
    /// Declare that nothing of RUN is left
    ///
    /// That is where it cannot be seen from here: RUN was in another container, or its engine will
    /// never answer for it.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["fix", "crash_test"])]
    pub gone: Option<i64>,
}

/// What a person can declare about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Is {
    /// It was moved here, and the original is gone: it keeps its identity
    Moved,
    /// A copy, to be a file of its own: every job that had not ended is held, schedules are paused
    Copy,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    if let Some(run) = args.gone.map(RunId) {
        let store = face.editor()?;
        if store.write(move |conn| launched::give_up(conn, run))? {
            face::say(&format!("run {run} counts as lost: the worker settles it when it next asks its engine, within a minute"));
            return Ok(exit::OK);
        }
        runfile::declare_over(store.place(), run)?;
        waker::send(store.place());
        face::say(&format!("run {run} counts as over: the worker settles it at its next tick"));
        return Ok(exit::OK);
    }
    let mut repaired = Vec::new();
    if let Some(is) = args.is {
        repaired = copies::declare(face, is == Is::Copy)?;
    }
    if args.fix {
        repaired = one_round(face)?;
    }
    let (mut findings, unusable) = check_all(face);
    if args.crash_test {
        findings.extend(crash_test::run(&std::env::temp_dir())?);
    }
    if face.json {
        face.document(json!({
            "checks": findings.iter().map(to_json).collect::<Vec<_>>(),
            "problems": findings.iter().filter(|f| !f.ok).map(to_json).collect::<Vec<_>>(),
            "repaired": repaired,
        }))?;
    } else {
        face::print(&for_people(&findings, &repaired, face.colour))?;
    }
    Ok(match unusable {
        Some(error) => error.exit_code(),
        None if findings.iter().any(|f| !f.ok) => exit::FAILED,
        None => exit::OK,
    })
}

/// Returns all findings; and why the file cannot be used at all, if so.
fn check_all(face: &Face) -> (Vec<Finding>, Option<Error>) {
    match face.reader() {
        Ok(store) => {
            let mut findings = vec![Finding::fine("file", format!("{} can be opened", store.place().db().display()))];
            findings.extend(checks::all(face, &store));
            // A worker must not be recommended where it would repeat what the original does.
            if standing::advice(&store).is_ok_and(|advice| advice.is_some_and(|advice| advice.is_refused)) {
                for finding in
                    findings.iter_mut().filter(|finding| finding.advice.code != "home" && finding.advice.remedy.is_some())
                {
                    finding.advice.remedy = Some("first say which file this is, see home".to_owned());
                }
            }
            advise_what_helps(&mut findings, Holder::read(store.place()).is_ok_and(|worker| worker.is_some()));
            (findings, None)
        }
        Err(error) => (vec![Finding::unhelped("file", error.to_string())], Some(error)),
    }
}

/// `--fix` is one round of a worker: if it would be refused or would wait, the prerequisite is the
/// advice.
fn advise_what_helps(findings: &mut [Finding], has_worker: bool) {
    let first = findings.iter().find(|finding| finding.keeps_fix).map(|finding| format!("first see {}", finding.advice.code));
    let by_worker = has_worker.then(|| {
        "the worker repairs that within a minute; if it does not, stop the worker, then: tenure doctor --fix".to_owned()
    });
    let Some(instead) = first.or(by_worker) else { return };
    for finding in findings {
        if finding.advice.remedy.as_ref().is_some_and(|remedy| remedy.contains("tenure doctor --fix")) {
            finding.advice.remedy = Some(instead.clone());
        }
    }
}

fn to_json(finding: &Finding) -> Value {
    json!({"code": finding.advice.code, "ok": finding.ok, "text": finding.advice.text, "remedy": finding.advice.remedy})
}

fn for_people(findings: &[Finding], repaired: &[String], coloured: bool) -> String {
    let mut text = String::new();
    for what in repaired {
        text += &format!("repaired  {}\n", escape::line(what));
    }
    for finding in findings {
        let word = match (finding.ok, coloured) {
            (true, false) => "ok     ".to_owned(),
            (false, false) => "WRONG  ".to_owned(),
            (true, true) => "\x1b[32mok\x1b[0m     ".to_owned(),
            (false, true) => "\x1b[31mWRONG\x1b[0m  ".to_owned(),
        };
        text += &format!("{word}{:12} {}\n", finding.advice.code, escape::line(&finding.advice.text));
        if let Some(remedy) = &finding.advice.remedy {
            text += &format!("{:20} -> {}\n", "", escape::line(remedy));
        }
    }
    text
}

/// Runs a worker for one round: it repairs, settles and sweeps like a starting worker. Claims
/// nothing.
///
/// # Errors
/// There is a worker, or the file cannot be used.
fn one_round(face: &Face) -> Result<Vec<String>> {
    let client = face.before_worker()?;
    let scope = Scope { only: Some(NO_JOB), ..Scope::default() };
    let options = Options { slots: 1, scope, until: Until::Stopped, ..worker_options::options(face) };
    let worker = Worker::start(&client, face.options(Role::Worker), options)?;
    let done = worker.store().opened().problems.clone();
    // Adopted runs continue, and the others were settled in that round.
    let _not_yet = worker.ended(Duration::ZERO);
    worker.stop(Ended::Asked)?;
    Ok(done)
}
