//! The command line as a whole: which verbs there are, and where each goes.

use std::ffi::OsString;

use clap::{Args as _, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::cli::face::Face;
use crate::cli::global::Global;
use crate::cli::help::page::{self, Length};
use crate::cli::parse::mistakes;
use crate::cli::parse::pick::Named;
use crate::cli::verbs::{
    add, backup, cancel, complete, completions, edit, fence, help, history, hold, lane, lease, logs, ls, man, pipeline, progress,
    prune, queue, rerun, resource, restore, retry, run, schedule, seen, set, settings, show, status, task, wait, why, work,
    workspace,
};
use crate::cli::{doctor, face, logging};
use crate::config::{Colour, Flags};
use crate::error::{Error, Result, exit};
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
    /// Keep queued jobs from starting
    Hold(hold::Args),
    /// Let held jobs start
    Release(hold::Args),
    /// List, limit, pause and remove queues
    #[command(subcommand)]
    Queue(queue::Verb),
    /// List, limit and remove lanes, the serial gates
    #[command(subcommand)]
    Lane(lane::Verb),
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
    /// Find problems and print their remedies
    Doctor(doctor::Args),
    /// Copy the database file while it is in use
    Backup(backup::Args),
    /// Replace the database file with a backup
    Restore(restore::Args),
    /// Remove ended jobs with their logs
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
    let ends_with_job =
        matches!(cli.verb, Some(Verb::Run(_) | Verb::Wait(_) | Verb::Fence(_) | Verb::Lease(lease::Verb::Run(_))));
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
    match verb {
        Verb::Add(args) => add::run(&face, *args),
        Verb::Run(args) => run::run(&face, *args),
        Verb::Work(args) => work::run(&face, args),
        Verb::Status(args) => status::run(&face, &args),
        Verb::Ls(args) => ls::run(&face, &args),
        Verb::Seen => seen::run(&face),
        Verb::Show(which) => show::run(&face, &which),
        Verb::Logs(args) => logs::run(&face, &args),
        Verb::Wait(args) => wait::run(&face, &args),
        Verb::Why(which) => why::run(&face, &which),
        Verb::History(which) => history::run(&face, &which),
        Verb::Cancel(args) => cancel::run(&face, &args),
        Verb::Retry(args) => retry::run(&face, &args),
        Verb::Rerun(args) => rerun::run(&face, &args),
        Verb::Set(args) => set::run(&face, &args),
        Verb::Edit(which) => edit::run(&face, &which),
        Verb::Hold(args) => hold::hold(&face, &args),
        Verb::Release(args) => hold::release(&face, &args),
        Verb::Queue(verb) => queue::run(&face, verb),
        Verb::Lane(verb) => lane::run(&face, verb),
        Verb::Lease(verb) => lease::run(&face, verb),
        Verb::Workspace(verb) => workspace::run(&face, verb),
        Verb::Resource(verb) => resource::run(&face, verb),
        Verb::Schedule(verb) => schedule::run(&face, verb),
        Verb::Pipeline(verb) => pipeline::run(&face, verb),
        Verb::Task(verb) => task::run(&face, verb),
        Verb::Doctor(args) => doctor::run(&face, &args),
        Verb::Backup(args) => backup::run(&face, &args),
        Verb::Restore(args) => restore::run(&face, &args),
        Verb::Prune(args) => prune::run(&face, &args),
        Verb::Progress(args) => progress::run(&face, &args),
        Verb::Fence(args) => fence::run(&face, &args),
        Verb::Config(args) => settings::run(&face, &args),
        Verb::Complete(_) | Verb::Completions(_) | Verb::Man(_) | Verb::Help(_) => Err(Error::Internal("handled above".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["tenure"].iter().chain(arguments))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_manual_parses() {
        let lines = [
            "add -- make all|add -c x|add --from -|add --from f --chunk 1000|run -t 5m -- x",
            "work|work --slots 4 --queue a --queue b|work --until-idle|work --until-empty --drain",
            "status|ls|ls --state failed --queue q --label l -n 5 -a|show 7|show last --json|logs 7|logs 7 -f|logs 7 -n 10|logs 7 --run 3|logs -f -l x --grep y",
            "wait 7|wait 1 2-4 --any --timeout 5m|why 7|history 7",
            "cancel 1,4,8|cancel --queue q|cancel --label l --state queued|retry 3-9|retry --failed|retry 7 --with-dependants",
            "set 7 priority=5 delay=10m|hold 7|release 7",
            "queue ls|queue set q --slots 2 --max-runtime 1h|queue pause q|queue resume q|lane ls|lane set k --limit 2",
            "schedule ls|schedule add n @daily -- x|schedule add n @hourly -c x|schedule rm a b|schedule pause n|schedule resume n",
            "schedule add n 0_3_*_*_* --tz UTC --catch-up all --catch-up-max 9 -l l --lane k -- x|schedule next n -n 3|schedule history n -n 3",
            "schedule show n -n 3|schedule set n --cron @daily --tz UTC --catch-up none --unset lane --overlap queue --jitter 10m|schedule set n -r 2 -- x|schedule run n|schedule import -|schedule import f --apply --skip-unsupported --system-crontab -q q",
            "pipeline apply f|pipeline ls|pipeline show p|task start p --key k -p a=b -p c=|task ls -a|task ls --state failed --pipeline p",
            "task show 1|task show last --json|task stop 1 --why x --wait|task advance 1 --expect a --to b|task hold 1|task release 1",
            "lease run n -- x|lease run n --wait 5m --why y -c x|lease ls|lease release n --force|fence -- x",
            "resource add vm --teardown x|resource add vm --teardown x --probe y --job 7 -t 5m -e A=b -w /",
            "resource add vm --teardown x --task 7|resource ls|resource ls -a|resource show 3|resource release 3 4-5",
            "resource release 3 --force|resource sweep",
            "workspace ls|workspace rm k|workspace ensure k --prepare x",
            "doctor|doctor --fix|backup f|restore f|prune --older-than 30d|progress 40 phase|config|completions bash|man",
            "--db f --json --color never|",
        ]
        .join("|");
        for line in lines.split('|') {
            let arguments: Vec<&str> = line.split_whitespace().collect();
            assert!(parse(&arguments).is_ok(), "{line}: {}", parse(&arguments).unwrap_err());
        }
    }

    #[test]
    fn contradicting_arguments_are_a_mistake_of_usage() {
        let lines = [
            "add --from f -- x|add --from f -c x|add --from f --chunk 0|add --from f --chunk 10001|add -d 1s --at 03:00 -- x|add make",
            "work --until-idle --until-empty|retry --failed 7|logs 7 --grep (|show|set 7|set|queue|queue pause|lane set k|lane set k --limit 0",
            "prune|prune --older-than 5|nope|ls --state x|ls -n x|logs 7 -f --run 3|completions x|progress",
            "schedule|schedule add n|schedule add n x y -- z|schedule add bad/name @daily -- x|schedule add n @daily --catch-up x -- x",
            "schedule add n @daily --catch-up-max 0 -- x|schedule next|schedule next n -n 0|schedule show|schedule set|schedule set n --unset x|schedule run",
            "pipeline apply|pipeline|task start|task start p -p a|task start p -p 1=b|task stop|task stop x|task stop 0|task advance 1 --to b",
            "task advance 1 --expect a|task show",
            "lease|lease run|lease run workspace/x -- x|lease run n --wait 5 -- x|lease release|lease run n make",
            "resource|resource add vm|resource add --teardown x|resource add vm --teardown x --job 1 --task 1",
            "resource add vm --teardown x --job 0|resource release|resource show",
        ]
        .join("|");
        for line in lines.split('|') {
            let arguments: Vec<&str> = line.split_whitespace().collect();
            let error = parse(&arguments).expect_err(line);
            assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
        }
    }

    #[test]
    fn an_add_is_parsed_as_with_all_verbs() {
        let lines = [
            "add -- make all|add --db f -q q --json -- x|add --color never -c x -o -5|add -a 1 3-4 --after-any 2 -- x -y --json",
            "add --array 0-9%3 --allow-shared -- x|add -e A=b --pass-env C -w / -- x --help|add --from - --chunk 3|add --nice -3 -- x",
            "add --help|add -h|add --version|add|add make|add --nope -- x|add --unique k --array 0-1 -- x|add --nice x -- x|add --lab l -- x",
            "ls|--json add -- x|help add|add help",
        ]
        .join("|");
        let mut alone = 0;
        for line in lines.split('|') {
            let arguments: Vec<OsString> = ["tenure"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
            let (of_all, of_add) = (parse_any(arguments.clone()), parse_add(&arguments));
            alone += usize::from(of_add.is_some());
            if let Some(of_add) = of_add {
                assert_eq!(format!("{of_add:?}"), format!("{:?}", of_all.expect(line)), "{line}");
            }
        }
        assert_eq!(alone, 9, "each of the first two lines, and add alone");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Any arguments get an answer without a panic and without a terminal control sequence.
        #[test]
        fn nothing_that_is_typed_breaks_the_parser(
            verb in prop::sample::select(vec!["add", "run", "ls", "logs", "wait", "cancel", "set", "queue", "work", "prune", "lease", "fence", ""]),
            rest in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("no NUL in argv", |b| *b != 0), 0..12), 0..6),
        ) {
            let arguments = [b"tenure".to_vec(), verb.as_bytes().to_vec()].into_iter().chain(rest).map(OsString::from_vec);
            if let Err(error) = Cli::try_parse_from(arguments) {
                let (mut shown, mut safe) = (crate::cli::view::shown::Shown::default(), Vec::new());
                shown.push(error.render().ansi().to_string().as_bytes(), &mut safe);
                shown.finish(&mut safe);
                let text = String::from_utf8(safe).expect("only characters");
                for sequence in text.split('\x1b').skip(1) {
                    let end = sequence.find('m').expect("a colour");
                    prop_assert!(sequence[1..end].bytes().all(|b| b.is_ascii_digit() || b == b';'), "{text:?}");
                }
            }
        }
    }
}
