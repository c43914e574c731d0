//! The verbs by what they are for. `tenure --help`, the manual and the tests read this table.

use clap::Command;

/// A heading, and the verbs below it. Each verb is in one group.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Jobs", &["add", "run", "cancel", "retry", "rerun", "set", "edit", "move", "hold", "release", "suspend", "resume", "rm"]),
    ("State and output", &["status", "top", "seen", "ls", "show", "logs", "wait", "why", "history", "events"]),
    ("Queues, lanes and pools", &["queue", "pause", "slots", "lane", "pool"]),
    ("Leases, workspaces, resources", &["lease", "workspace", "resource"]),
    ("Schedules and pipelines", &["schedule", "pipeline", "task"]),
    ("The worker and the file", &["work", "web", "mcp", "doctor", "backup", "restore", "prune", "import", "config"]),
    ("Inside a job", &["progress", "fence"]),
    ("This program", &["completions", "man", "help"]),
];

/// Returns the groups with what each of their verbs does.
pub fn verbs(root: &Command) -> impl Iterator<Item = (&'static str, Vec<(&'static str, String)>)> {
    GROUPS.iter().map(|(heading, names)| {
        let about = |name: &&'static str| {
            let verb = root.find_subcommand(name);
            (*name, verb.and_then(Command::get_about).map(ToString::to_string).unwrap_or_default())
        };
        // A verb of a feature that is turned off is not there.
        let there = names.iter().filter(|name| root.find_subcommand(name).is_some());
        (*heading, there.map(about).collect())
    })
}
