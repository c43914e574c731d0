//! The options of `add` are the keys of a line of `add --from`, but for those that no job has.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::parse::job_options::KEYS;
use crate::parse::lines::Lines;
use crate::parse::options::{JobOptions, Surroundings};

/// Whether a key without a value is accepted, which is so only if it is known.
fn is_known(key: &str) -> bool {
    let around = Surroundings {
        now: crate::clock::here(1_000),
        cwd: PathBuf::from("/here"),
        env: std::collections::BTreeMap::new(),
        found: Vec::new(),
        draw: || "drawn".into(),
    };
    let line = format!("{{\"command\": [\"x\"], {key:?}: null}}");
    Lines::new(line.as_bytes(), &JobOptions::default(), &around).next_line().is_ok()
}

/// Keys of a line that are not options of a job.
const OWN: [&str; 3] = ["command", "shell", "ref"];

/// Options of `add` that are not keys of a line.
const NOT_OF_A_LINE: &[(&str, &str)] = &[
    ("from", "it names the file"),
    ("chunk", "it is about the whole file"),
    ("need_worker", "it is about the command, not about a job"),
    ("shell", "a key of its own, beside the options"),
    ("command", "a key of its own, beside the options"),
    ("like", "copies one job"),
    ("help", "of every verb"),
    ("version", "of every verb"),
    ("db", "of every verb"),
    ("json", "of every verb"),
    ("color", "of every verb"),
    ("allow_shared", "of every verb"),
    ("system", "of every verb"),
];

#[test]
fn every_option_of_add_is_a_key_of_a_line() {
    let mut root = crate::cli::Cli::command();
    root.build();
    let add = root.find_subcommand("add").unwrap();
    let mut keys = 0;
    for arg in add.get_arguments() {
        let id = arg.get_id().as_str();
        let is_key = is_known(id) && !OWN.contains(&id);
        let is_excepted = NOT_OF_A_LINE.iter().any(|(name, _)| *name == id);
        assert!(is_key != is_excepted, "--{id}: a key {is_key}, an exception {is_excepted}");
        keys += usize::from(is_key);
    }
    for (name, why) in NOT_OF_A_LINE {
        assert!(add.get_arguments().any(|arg| arg.get_id() == *name), "{name} ({why}) is not an option");
    }
    assert_eq!(keys, KEYS.len(), "every key is an option of the command line");
}
