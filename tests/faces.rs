//! The command line from outside: how jobs end, what each verb says, and what a hostile user gets. A file is a promise.

mod support;

#[path = "faces/bad_files.rs"]
mod bad_files;
#[path = "faces/bad_input.rs"]
mod bad_input;
#[path = "faces/batches.rs"]
mod batches;
#[path = "faces/cascades.rs"]
mod cascades;
#[path = "faces/documents.rs"]
mod documents;
#[path = "faces/endings.rs"]
mod endings;
#[path = "faces/exit_codes.rs"]
mod exit_codes;
#[path = "faces/found.rs"]
mod found;
#[path = "faces/job_lines.rs"]
mod job_lines;
#[path = "faces/keys.rs"]
mod keys;
#[path = "faces/leases.rs"]
mod leases;
#[path = "faces/library_words.rs"]
mod library_words;
#[path = "faces/limits.rs"]
mod limits;
#[path = "faces/lists.rs"]
mod lists;
#[path = "faces/needless.rs"]
mod needless;
#[path = "faces/nested.rs"]
mod nested;
#[path = "faces/obstacles.rs"]
mod obstacles;
#[path = "faces/output.rs"]
mod output;
#[path = "faces/reasons.rs"]
mod reasons;
#[path = "faces/remedies.rs"]
mod remedies;
#[path = "faces/retries.rs"]
mod retries;
#[path = "faces/root_client.rs"]
mod root_client;
#[path = "faces/run_over.rs"]
mod run_over;
#[path = "faces/said.rs"]
mod said;
#[path = "faces/schedules.rs"]
mod schedules;
#[path = "faces/selectors.rs"]
mod selectors;
#[path = "faces/settings.rs"]
mod settings;
#[path = "faces/sql.rs"]
mod sql;
#[path = "faces/surroundings.rs"]
mod surroundings;
#[path = "faces/tasks.rs"]
mod tasks;
#[path = "faces/terminal.rs"]
mod terminal;
#[path = "faces/times.rs"]
mod times;
#[path = "faces/told.rs"]
mod told;
#[path = "faces/tools.rs"]
mod tools;
#[path = "faces/trees.rs"]
mod trees;
#[path = "faces/unexecutable.rs"]
mod unexecutable;
#[path = "faces/unprivileged.rs"]
mod unprivileged;
#[path = "faces/unreadable.rs"]
mod unreadable;
#[path = "support/untested.rs"]
mod untested;
#[path = "faces/until_idle.rs"]
mod until_idle;
#[path = "faces/verbs.rs"]
mod verbs;
#[path = "faces/waits.rs"]
mod waits;
#[path = "faces/warned.rs"]
mod warned;
#[path = "faces/workspaces.rs"]
mod workspaces;
#[path = "faces/zoo.rs"]
mod zoo;
