//! The command line as a whole: which verbs there are, and where each goes.

use std::ffi::OsString;

use clap::{Args as _, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::cli::face::Face;
use crate::cli::global::Global;
use crate::cli::help::page::{self, Length};
use crate::cli::parse::mistakes;
use crate::cli::parse::pick::Named;
use crate::cli::verbs::{
    add, backup, cancel, complete, completions, edit, fence, help, history, hold, import, lane, lease, logs, ls, man, pause,
    pipeline, pool, progress, prune, queue, reorder, rerun, resource, restore, retry, rm, run, schedule, seen, set, settings,
    show, slots, status, suspend, task, wait, why, work, workspace,
};
use crate::cli::{doctor, face, logging, system, verbs};
use crate::config::{Colour, Flags};
use crate::error::{Error, Result, exit};
use crate::queue::people::Change;
use crate::run::limits;

/// A crash-proof job queue for one Linux VM
#[derive(Debug, Parser)]
#[command(
    name = "tenure",
    // Also for a program of another name: help is found by it, and remedies say tenure.
    bin_name = "tenure",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Queue a job and print its id
    Add(Box<add::Args>),
    /// Queue a job, show its output and exit with its code
    Run(Box<run::Args>),
    /// Run the worker
    Work(work::Args),
    /// Show an overview (the default command)
    Status(status::Args),
    /// Stop showing the failures so far in `status`
    Seen,
    /// Watch jobs, queues and output live on a terminal
    Top,
    /// List jobs, running ones first and the newest last
    Ls(ls::Args),
    /// Show a job with all its runs
    Show(Named),
    /// Print the output of a job
    Logs(logs::Args),
    /// Wait until jobs have ended
    Wait(wait::Args),
    /// Explain why a job waits or why it ended
    Why(Named),
    /// Print the history of a job
    History(Named),
    /// Print every change of every job as JSON Lines
    Events(verbs::events::Args),
    /// Cancel jobs, running ones with their whole process tree
    Cancel(cancel::Args),
    /// Put failed and cancelled jobs back into the queue
    Retry(retry::Args),
    /// Add jobs again, with the same descriptions
    Rerun(rerun::Args),
    /// Change queued jobs
    Set(set::Args),
    /// Change a queued job in an editor
    Edit(Named),
    /// Change the order of queued jobs
    Move(reorder::Args),
    /// Keep queued jobs from starting
    Hold(hold::Args),
    /// Let held jobs start
    Release(hold::Args),
    /// Stop the whole process tree of running jobs, until `resume`
    Suspend(suspend::SuspendArgs),
    /// Continue suspended jobs, or end the pause of all queues
    Resume(suspend::ResumeArgs),
    /// List, limit, pause and remove queues
    #[command(subcommand)]
    Queue(queue::Verb),
    /// Print or change how many jobs run at once
    Slots(slots::Args),
    /// Keep all jobs from starting, in every queue
    Pause,
    /// List, limit and remove lanes, the serial gates
    #[command(subcommand)]
    Lane(lane::Verb),
    /// List, size and remove pools, the counted things of the machine
    #[command(subcommand)]
    Pool(pool::Verb),
    /// Run commands under named locks that a process tree holds
    #[command(subcommand)]
    Lease(lease::Verb),
    /// Manage workspaces, the directories that jobs share
    #[command(subcommand)]
    Workspace(workspace::Verb),
    /// Manage external resources, torn down when their owner ends
    #[command(subcommand)]
    Resource(resource::Verb),
    /// Manage schedules, which add a job when a cron line is due
    #[command(subcommand)]
    Schedule(schedule::Verb),
    /// Manage pipelines, the stages that a task goes through
    #[command(subcommand)]
    Pipeline(pipeline::Verb),
    /// Manage tasks, the walks through a pipeline
    #[command(subcommand)]
    Task(task::Verb),
    /// Take over the jobs of another queue
    #[command(subcommand)]
    Import(import::Verb),
    /// Serve web pages, the API and metrics over HTTP
    #[cfg(feature = "web")]
    Web(verbs::web::Args),
    /// Serve a coding agent over the Model Context Protocol
    #[cfg(feature = "mcp")]
    Mcp(verbs::mcp::Args),
    /// Find problems and print their remedies
    Doctor(doctor::Args),
    /// Copy the database file while it is in use
    Backup(backup::Args),
    /// Replace the database file with a backup
    Restore(restore::Args),
    /// Remove ended jobs with their logs
    Rm(Named),
    /// Remove old or selected ended jobs with their logs
    Prune(prune::Args),
    /// Report the progress of this job
    Progress(progress::Args),
    /// Run a command only while this run owns its job
    Fence(fence::Args),
    /// Show the settings and where each comes from
    Config(settings::Args),
    /// Print what may be typed next, for the scripts of `completions`
    #[command(hide = true)]
    Complete(complete::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page of a verb
    Man(man::Args),
    /// Print the help of a verb
    Help(help::Args),
}

/// Parses, dispatches, and tells the exit code. Prints errors; never panics on what was typed.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // Before all that needs more stack than this.
    if let Err(error) = limits::check() {
        face::complain(&error.to_string());
        return error.exit_code();
    }
    parse_and_dispatch(arguments)
}

#[inline(never)]
fn parse_and_dispatch(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match parse(arguments.iter().cloned()) {
        Ok(cli) => cli,
        Err(error) if page::is_help(error.kind()) => return show_help(&error, &arguments),
        Err(error) => return mistakes::print(&error, &Cli::command()),
    };
    let ends_with_job = matches!(
        cli.verb,
        Some(
            Verb::Run(_)
                | Verb::Wait(_)
                | Verb::Fence(_)
                | Verb::Lease(lease::Verb::Run(_))
                | Verb::Task(task::Verb::Wait { .. })
        )
    );
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if face::is_broken_pipe(&error) => exit::OK,
        Err(error) => {
            face::complain(&error.to_string());
            match error.exit_code() {
                exit::FAILED if ends_with_job => exit::OURSELVES,
                code => code,
            }
        }
    }
}

/// What the parser would print is made anew, with groups and examples.
fn show_help(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let root = Cli::command();
    let path = mistakes::verb_of(&root, &error.render().to_string());
    if error.use_stderr() {
        return page::complain(root, &path, colour_of(arguments));
    }
    // The value of an option cannot be `--help`, and the command of a job comes after `--`.
    let is_long = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--help");
    page::print(root, &path, if is_long { Length::Long } else { Length::Short }, colour_of(arguments))
}

/// Returns the colour that was asked for, where the parser stopped before it could tell.
fn colour_of(arguments: &[OsString]) -> Colour {
    let words: Vec<&str> = arguments.iter().map_while(|word| word.to_str().filter(|word| *word != "--")).collect();
    let given = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--color")? {
        "" => words.get(at + 1).copied(),
        rest => rest.strip_prefix('='),
    });
    given.and_then(|word| Colour::from_str(word, false).ok()).unwrap_or_default()
}

/// Parses. A negative number is the value of what it stands behind, and refused there with a
/// reason.
///
/// # Errors
/// What clap says.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match parse_add(&arguments) {
        Some(cli) => Ok(cli),
        None => parse_any(arguments),
    }
}

fn parse_any(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = with_negative_numbers(Cli::command()).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Parses an `add` without the definitions of all other verbs, which would take a quarter of the
/// processor time of one that the worker adds. `None`: it is another verb, or a request for help,
/// or wrong, and the whole definition has the answer.
fn parse_add(arguments: &[OsString]) -> Option<Cli> {
    if arguments.get(1)? != "add" {
        return None;
    }
    let root = Global::augment_args(clap::Command::new("tenure"));
    let root = root.subcommand(add::Args::augment_args(clap::Command::new("add")));
    let matches = with_negative_numbers(root).try_get_matches_from(arguments).ok()?;
    let args = add::Args::from_arg_matches(matches.subcommand_matches("add")?).ok()?;
    Some(Cli { global: Global::from_arg_matches(&matches).ok()?, verb: Some(Verb::Add(Box::new(args))) })
}

fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let takes_one = |arg: clap::Arg| {
        let takes = arg.get_action().takes_values() && !arg.is_last_set() && !arg.is_allow_hyphen_values_set();
        if takes { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_args(takes_one).mut_subcommands(with_negative_numbers)
}

/// The settings that a verb has options for.
fn flags(verb: &Verb) -> Flags {
    match verb {
        Verb::Work(args) => Flags {
            slots: args.slots,
            drain: args.drain,
            on_term: args.on_term,
            stop_timeout_ms: args.stop_timeout,
            ..Flags::default()
        },
        _ => Flags::default(),
    }
}

fn dispatch(cli: Cli) -> Result<u8> {
    let verb = cli.verb.unwrap_or(Verb::Status(status::Args::default()));
    if !matches!(&verb, Verb::Work(args) if !args.quiet) {
        logging::without_jobs();
    }
    match &verb {
        // These need no file and no settings, so a broken configuration does not stop them.
        Verb::Completions(args) => return completions::run(args, Cli::command()),
        Verb::Man(args) => return man::run(args, Cli::command()),
        Verb::Help(args) => return Ok(help::run(args, Cli::command(), cli.global.color.unwrap_or_default())),
        Verb::Complete(args) => return Ok(complete::run(args, Cli::command())),
        _ => {}
    }
    let face = Face::new(&cli.global, flags(&verb))?;
    // Root has the file itself.
    if face.settings.system.value && !rustix::process::geteuid().is_root() && !matches!(verb, Verb::Config(_)) {
        return dispatch_to_system(&face, &verb);
    }
    match verb {
        Verb::Add(args) => add::run(&face, *args),
        Verb::Run(args) => run::run(&face, *args),
        Verb::Work(args) => work::run(&face, args),
        Verb::Status(args) => status::run(&face, &args),
        Verb::Top => verbs::top::run(&face),
        Verb::Ls(args) => ls::run(&face, &args),
        Verb::Seen => seen::run(&face),
        Verb::Show(which) => show::run(&face, &which),
        Verb::Logs(args) => logs::run(&face, &args),
        Verb::Wait(args) => wait::run(&face, &args),
        Verb::Why(which) => why::run(&face, &which),
        Verb::History(which) => history::run(&face, &which),
        Verb::Events(args) => verbs::events::run(&face, &args),
        Verb::Cancel(args) => cancel::run(&face, &args),
        Verb::Retry(args) => retry::run(&face, &args),
        Verb::Rerun(args) => rerun::run(&face, &args),
        Verb::Set(args) => set::run(&face, &args),
        Verb::Edit(which) => edit::run(&face, &which),
        Verb::Move(args) => reorder::run(&face, &args),
        Verb::Hold(args) => hold::hold(&face, &args),
        Verb::Release(args) => hold::release(&face, &args),
        Verb::Slots(args) => slots::run(&face, &args),
        Verb::Suspend(args) => suspend::suspend(&face, &args),
        Verb::Resume(args) if args.which.is_empty() => pause::resume(&face),
        Verb::Resume(args) => suspend::resume(&face, &args),
        Verb::Queue(verb) => queue::run(&face, verb),
        Verb::Import(verb) => import::run(&face, verb),
        Verb::Pause => pause::pause(&face),
        Verb::Lane(verb) => lane::run(&face, verb),
        Verb::Pool(verb) => pool::run(&face, verb),
        Verb::Lease(verb) => lease::run(&face, verb),
        Verb::Workspace(verb) => workspace::run(&face, verb),
        Verb::Resource(verb) => resource::run(&face, verb),
        Verb::Schedule(verb) => schedule::run(&face, verb),
        Verb::Pipeline(verb) => pipeline::run(&face, verb),
        Verb::Task(verb) => task::run(&face, verb),
        #[cfg(feature = "web")]
        Verb::Web(args) => verbs::web::run(&face, &args),
        #[cfg(feature = "mcp")]
        Verb::Mcp(args) => verbs::mcp::run(&face, &args),
        Verb::Doctor(args) => doctor::run(&face, &args),
        Verb::Backup(args) => backup::run(&face, &args),
        Verb::Restore(args) => restore::run(&face, &args),
        Verb::Rm(which) => rm::run(&face, &which),
        Verb::Prune(args) => prune::run(&face, &args),
        Verb::Progress(args) => progress::run(&face, &args),
        Verb::Fence(args) => fence::run(&face, &args),
        Verb::Config(args) => settings::run(&face, &args),
        Verb::Complete(_) | Verb::Completions(_) | Verb::Man(_) | Verb::Help(_) => Err(Error::Internal("handled above".into())),
    }
}

/// The verbs of a user who is not root, for the system worker.
fn dispatch_to_system(face: &Face, verb: &Verb) -> Result<u8> {
    let worker = &system::of(face)?;
    match verb {
        Verb::Add(args) => system::add::run(face, worker, args),
        Verb::Ls(args) => system::list::run(face, worker, args),
        Verb::Status(args) => system::show::status(face, worker, args),
        Verb::Show(which) => system::show::run(face, worker, which),
        Verb::Why(which) => system::show::why(face, worker, which),
        Verb::History(which) => system::show::history(face, worker, which),
        Verb::Logs(args) => system::logs::run(worker, args),
        Verb::Wait(args) => system::wait::run(face, worker, args),
        Verb::Cancel(args) => system::change::run(face, worker, Change::Cancel, &args.which, args.why.clone()),
        Verb::Retry(args) => system::change::retry(face, worker, args),
        Verb::Hold(args) => system::change::run(face, worker, Change::Hold, &args.which, None),
        Verb::Release(args) => system::change::run(face, worker, Change::Release, &args.which, None),
        Verb::Rm(which) => system::change::remove(face, worker, which),
        _ => system::refuse(),
    }
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;
