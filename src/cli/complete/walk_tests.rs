use clap::CommandFactory;

use super::*;

/// What is wanted after a line, whose last word is being typed: the kind of word, or the argument.
fn wanted(line: &[&str]) -> String {
    let mut root = crate::cli::Cli::command();
    root.build();
    let words: Vec<String> = line.iter().map(ToString::to_string).collect();
    let (typed, before) = words.split_last().unwrap();
    match walk(&root, before, typed) {
        Wanted::Nothing => "nothing".into(),
        Wanted::Word { verb, kind } => format!("{kind:?} of {}", verb.get_name()),
        Wanted::Command { from } => format!("command {from}"),
        Wanted::Value { arg, at } => format!("{} of {} at {}", arg.get_id(), at.path.join(" "), at.begin),
    }
}

#[test]
fn verbs_options_and_values_are_told_apart() {
    for (line, what) in [
        (&["tenure", ""][..], "Verb of tenure"),
        (&["tenure", "que"], "Verb of tenure"),
        (&["tenure", "queue", ""], "Verb of queue"),
        (&["tenure", "-"], "Option of tenure"),
        (&["tenure", "ls", "--st"], "Option of ls"),
        (&["tenure", "ls", "--state", ""], "state of ls at 0"),
        (&["tenure", "ls", "--state=do"], "state of ls at 8"),
        (&["tenure", "ls", "--json", ""], "ids of ls at 0"),
        (&["tenure", "ls", "-q", "a", "--label", ""], "label of ls at 0"),
        (&["tenure", "--db", "add", "show", ""], "ids of show at 0"),
        (&["tenure", "show", "--db=x", "7", ""], "ids of show at 0"),
        (&["tenure", "queue", "set", ""], "queue of queue set at 0"),
        (&["tenure", "queue", "set", "q", ""], "nothing"),
        (&["tenure", "set", "7", ""], "changes of set at 0"),
        (&["tenure", "set", "7", "a=1", ""], "changes of set at 0"),
        (&["tenure", "ls", "--json=x"], "nothing"),
        (&["tenure", "nope", ""], "nothing"),
        (&["tenure", "ls", "--nope", ""], "ids of ls at 0"),
    ] {
        assert_eq!(wanted(line), what, "{line:?}");
    }
}

#[test]
fn the_command_of_a_job_is_the_shells_own() {
    assert_eq!(wanted(&["tenure", "add", ""]), "Option of add");
    assert_eq!(wanted(&["tenure", "add", "--", ""]), "command 3");
    assert_eq!(wanted(&["tenure", "add", "-l", "x", "--", "tenure", "show", ""]), "command 5");
    assert_eq!(wanted(&["tenure", "lease", "run", "gpu", "--", "x"]), "command 5");
    assert_eq!(wanted(&["tenure", "lease", "run", ""]), "name of lease run at 0");
}

#[test]
fn short_options_and_lists_of_values_are_followed() {
    assert_eq!(wanted(&["tenure", "add", "-a", "1", "2", ""]), "after of add at 0");
    assert_eq!(wanted(&["tenure", "add", "-a", "1", "--hold", ""]), "Option of add");
    assert_eq!(wanted(&["tenure", "logs", "-fn", ""]), "lines of logs at 0");
    assert_eq!(wanted(&["tenure", "logs", "-fn5", ""]), "ids of logs at 0");
    assert_eq!(wanted(&["tenure", "ls", "-qmail", ""]), "ids of ls at 0");
    assert_eq!(wanted(&["tenure", "ls", "-é", ""]), "ids of ls at 0");
}
