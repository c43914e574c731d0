//! Verbs and options of other queues (pueue, task spooler, at, cron, Slurm, docker), and their
//! equivalents here.

/// A purpose, and the command for it.
type Does = (&'static str, &'static str);

const CANCEL: Does = ("to end jobs", "tenure cancel ID");
const RM: Does = ("to remove ended jobs with their logs", "tenure rm ID");
const PRUNE: Does = ("to remove ended jobs with their logs", "tenure prune --older-than DURATION");
const PAUSE: Does = ("to let no job of a queue start", "tenure queue pause QUEUE");
const RESUME: Does = ("to resume a paused queue", "tenure queue resume QUEUE");
const SUSPEND: Does = ("to stop a running job for now", "tenure suspend ID");
const CONTINUE: Does = ("to continue a suspended job", "tenure resume ID");
const HOLD: Does = ("to keep one job from starting", "tenure hold ID");
const RELEASE: Does = ("to let a held job start", "tenure release ID");
const WORK: Does = ("to start the worker", "tenure work");
const ADD: Does = ("to queue a job", "tenure add -- COMMAND");
const LATER: Does = ("at a time", "tenure add --at 03:00 -- COMMAND");
const STATUS: Does = ("to see how things stand", "tenure status");
const SHOW: Does = ("to see a job with its runs", "tenure show ID");
const SET: Does = ("to change a queued job", "tenure set ID priority=5");
const MOVE: Does = ("to start a queued job before others", "tenure move ID --first");
const RETRY: Does = ("to return ended jobs to the queue", "tenure retry ID");

const VERBS: &[(&[&str], &[Does])] = &[
    (&["kill", "killall", "abort", "terminate", "scancel", "qdel", "atrm"], &[CANCEL]),
    (&["stop", "shutdown", "quit"], &[CANCEL, ("the worker ends with Ctrl-C or TERM; its pid", "tenure status")]),
    (&["list", "jobs", "atq", "squeue", "qstat", "tasks"], &[("to list jobs", "tenure ls")]),
    (&["ps", "running"], &[("to list what runs", "tenure ls --state running")]),
    (&["failed", "failures", "errors"], &[("to list what failed", "tenure ls --state failed")]),
    (&["log", "output", "cat", "stdout", "stderr"], &[("to read the output of a job", "tenure logs ID")]),
    (&["follow", "tail", "attach"], &[("to follow the output of a job", "tenure logs -f ID")]),
    (&["stash"], &[PAUSE, HOLD, SUSPEND]),
    (&["continue", "unpause", "unhold", "unstash"], &[RESUME, RELEASE, CONTINUE]),
    (&["freeze", "sigstop"], &[SUSPEND]),
    (&["thaw", "unfreeze", "sigcont"], &[CONTINUE]),
    (&["start", "daemon", "worker", "serve", "server"], &[WORK, RELEASE]),
    (&["remove", "delete", "del"], &[("to take jobs out of the queue", "tenure cancel ID"), RM]),
    (&["clean", "clear", "purge", "gc", "cleanup"], &[PRUNE]),
    (&["reset"], &[("to end all jobs", "tenure cancel --state queued --state running"), PRUNE]),
    (&["restart", "redo", "requeue"], &[RETRY]),
    (&["watch", "monitor", "dashboard"], &[("to watch what happens", "tenure top"), STATUS]),
    (&["stats", "summary", "sinfo"], &[STATUS]),
    (&["info", "describe", "inspect", "get", "detail", "details", "result"], &[SHOW]),
    (&["audit", "journal"], &[("to see what happened to a job", "tenure history ID"), ("to all jobs", "tenure events")]),
    (&["submit", "enqueue", "push", "new", "create", "sbatch", "put", "queue-add"], &[ADD]),
    (&["at", "batch", "later"], &[ADD, LATER]),
    (&["exec", "execute", "do", "srun"], &[("to run a job and see its output", "tenure run -- COMMAND")]),
    (
        &["cron", "crontab", "timer", "every"],
        &[
            ("to make jobs by a cron line", "tenure schedule add NAME '30 3 * * *' -- COMMAND"),
            ("of a crontab", "tenure schedule import CRONTAB"),
        ],
    ),
    (&["group", "groups", "queues"], &[("to list queues", "tenure queue ls")]),
    (&["parallel", "concurrency"], &[("jobs at once", "tenure slots 4"), ("of a queue", "tenure queue set QUEUE --slots 4")]),
    (&["change", "update", "modify", "priority", "prio", "switch", "urgent", "renice", "delay"], &[SET, MOVE]),
    (&["send", "input", "stdin"], &[("to give a job its input", "tenure add --stdin FILE -- COMMAND")]),
    (&["lock", "flock", "mutex", "locks"], &[("to run a command under a named lock", "tenure lease run NAME -- COMMAND")]),
    (&["check", "fsck", "repair", "verify", "health", "diagnose", "ping"], &[("to find what is wrong", "tenure doctor")]),
    (&["init", "setup", "install"], &[("nothing has to be set up; to queue a job", "tenure add -- COMMAND"), WORK]),
    (&["export", "dump", "save"], &[("to copy the file", "tenure backup FILE"), ("jobs for a script", "tenure ls -a --json")]),
    (&["load"], &[("to queue many jobs", "tenure add --from FILE"), ("to bring a copy of the file back", "tenure restore FILE")]),
    (&["settings", "configure"], &[("to see the settings", "tenure config")]),
    (&["version"], &[("to see the version", "tenure --version")]),
];

/// Verbs below a verb, and their names here.
const NESTED: &[(&[&str], &[&str])] = &[
    (&["list", "show", "status", "info", "l"], &["ls", "show"]),
    (&["remove", "delete", "del", "drop", "clear", "reset"], &["rm", "release", "stop"]),
    (&["create", "new", "make"], &["add", "set", "start", "apply", "run", "ensure"]),
    (&["stop", "disable", "suspend", "hold", "cancel", "kill"], &["pause", "stop", "rm", "release"]),
    (&["start", "enable", "continue", "unpause"], &["resume", "start"]),
    (&["edit", "update", "change", "limit", "configure"], &["set", "add", "apply"]),
    (&["free", "unlock"], &["release", "rm"]),
    (&["lock", "acquire", "take", "hold", "exec"], &["run"]),
    (&["load", "import"], &["apply", "add"]),
    (&["run", "begin"], &["start", "run"]),
];

/// Options of other programs, with the verb here to which they apply; "" for every verb.
const OPTIONS: &[(&str, &[&str], &str)] = &[
    ("logs", &["--tail", "--lines", "-l"], "-n N"),
    ("work", &["-j", "-s", "-n", "--jobs", "--parallel", "--workers", "--concurrency"], "--slots N"),
    ("work", &["--once", "--oneshot", "--exit"], "--until-idle"),
    ("", &["--group", "-g", "--pool", "--partition"], "--queue QUEUE"),
    ("", &["--name", "--title", "-N", "-L", "--tag"], "--label LABEL"),
    ("", &["--dir", "--chdir", "--working-directory", "-C", "-D", "--directory"], "--cwd DIR"),
    ("", &["--dependency", "--depends", "--depends-on", "--needs", "-a"], "--after ID"),
    ("", &["--stashed", "--paused"], "--hold"),
    ("", &["--in", "--wait-for"], "--delay DURATION"),
    ("", &["--on", "--time", "--begin", "--when"], "--at TIME"),
    ("", &["--attempts", "--max-attempts", "--tries", "--retry", "-r"], "--retries N"),
    ("", &["--mem", "--memory-limit"], "--memory SIZE"),
    ("", &["--environment", "--export"], "--env NAME=VALUE"),
    ("", &["--max-time", "--time-limit"], "--timeout DURATION"),
    ("", &["--status", "--filter", "-s"], "--state STATE"),
    ("", &["--count", "--max", "--num"], "--limit N"),
    ("", &["--db-path", "--database", "--file"], "--db FILE"),
    ("", &["--output", "--format", "-j"], "--json"),
];

/// Returns the equivalents of a verb of another program.
pub fn verb(typed: &str) -> Option<&'static [Does]> {
    let typed = typed.to_lowercase();
    VERBS.iter().find(|(names, _)| names.contains(&typed.as_str())).map(|(_, does)| *does)
}

/// Returns which of these verbs is the equivalent of this one.
pub fn nested<'a>(typed: &str, there: &[&'a str]) -> Option<&'a str> {
    let here = NESTED.iter().filter(|(names, _)| names.contains(&typed)).flat_map(|(_, here)| *here);
    here.into_iter().find_map(|name| there.iter().copied().find(|verb| verb == name))
}

/// Returns the option of a verb, among these, that is the equivalent of this one; with its value.
pub fn option(verb: &str, typed: &str, there: &[String]) -> Option<&'static str> {
    let mut named = OPTIONS.iter().filter(|(of, names, _)| (of.is_empty() || *of == verb) && names.contains(&typed));
    named.find(|(_, _, here)| there.iter().any(|one| Some(one.as_str()) == here.split(' ').next())).map(|(_, _, here)| *here)
}

/// Every verb of other programs that is known here.
#[cfg(test)]
pub fn verbs() -> impl Iterator<Item = (&'static str, &'static [Does])> {
    VERBS.iter().flat_map(|(names, does)| names.iter().map(|name| (*name, *does)))
}
