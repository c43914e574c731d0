use clap::CommandFactory;

use super::*;

/// Arguments of the verbs that are shown, each with the words of its verb.
fn arguments() -> Vec<(String, Arg)> {
    fn below(at: &Command, path: &str, all: &mut Vec<(String, Arg)>) {
        all.extend(at.get_arguments().map(|arg| (path.to_owned(), arg.clone())));
        for verb in at.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            below(verb, format!("{path} {}", verb.get_name()).trim(), all);
        }
    }
    let mut root = crate::cli::Cli::command();
    root.build();
    let mut all = Vec::new();
    below(&root, "", &mut all);
    all
}

fn source_of(verb: &str, arg: &Arg) -> Source {
    source(arg, &At { path: verb.split_whitespace().collect(), begin: 0, given: vec![], words: vec!["1".into()] })
}

#[test]
fn each_row_names_an_argument() {
    let all = arguments();
    for (verb, id, _) in SOURCES {
        let is_there = all.iter().any(|(of, arg)| arg.get_id() == id && (of == verb || *verb == "*"));
        assert!(is_there, "{verb} has no argument {id}");
    }
}

/// What is named in the file is offered, wherever an argument takes it.
#[test]
fn no_argument_with_values_is_forgotten() {
    const NAMED: &[&str] = &[
        "ID",
        "QUEUE",
        "KEY",
        "NAME",
        "NAME=VALUE",
        "LABEL",
        "STAGE",
        "STATE",
        "TASK",
        "PIPELINE",
        "LIST",
        "COMMAND",
        "VERB",
        "FILE",
        "FILE|-",
        "DIR",
        "SHELL",
    ];
    // New names, names of others, and commands.
    const FREE: &[(&str, &str)] = &[
        ("*", "unique"),
        ("*", "user"),
        ("task start", "params"),
        ("*", "command"),
        ("*", "check"),
        ("*", "prepare"),
        ("*", "on_failure"),
        ("*", "on_success"),
        ("*", "on_end"),
        ("*", "teardown"),
        ("*", "probe"),
        ("*", "key"),
        ("schedule add", "name"),
        ("resource add", "name"),
        ("web", "hosts"),
    ];
    let mut offered = 0;
    for (verb, arg) in arguments() {
        let names = arg.get_value_names().unwrap_or_default();
        if !arg.get_action().takes_values() || !names.iter().any(|name| NAMED.contains(&name.as_str()) || name.as_str() == "name")
        {
            continue;
        }
        let is_free = matches!(source_of(&verb, &arg), Source::Free) && possible(&arg).is_empty();
        let may_be = FREE.iter().any(|(of, id)| arg.get_id() == id && (*of == "*" || *of == verb));
        assert!(!is_free || may_be, "{verb}: nothing is offered for {}", arg.get_id());
        offered += usize::from(!is_free);
    }
    assert!(offered > 100, "{offered}");
}

#[test]
fn a_verb_is_offered_the_jobs_that_it_can_change() {
    let all = arguments();
    let of = |verb: &str, id: &str| {
        let (_, arg) = all.iter().find(|(of, arg)| of == verb && arg.get_id() == id).unwrap();
        match source_of(verb, arg) {
            Source::Stored(subject) => subject,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((of("cancel", "ids"), of("hold", "ids"), of("retry", "ids")), (LIVE, QUEUED, ENDED));
    assert_eq!((of("show", "ids"), of("logs", "ids"), of("release", "ids")), (ANY, ANY, Subject::HeldJobs));
    let (_, logs) = all.iter().find(|(of, arg)| of == "logs" && arg.get_id() == "ids").unwrap();
    let follows = At { path: vec!["logs"], begin: 0, given: vec!["follow"], words: vec![] };
    assert!(matches!(source(logs, &follows), Source::Stored(LIVE)));
}

#[test]
fn each_key_of_set_is_completed() {
    for key in CHANGES {
        let line = ["tenure", "set", "1", &format!("{key}=")].map(Into::into);
        assert!(crate::cli::command_line::parse(line).is_ok(), "{key}");
    }
    assert!(verbs(&crate::cli::Cli::command(), &["queue".into()]).iter().any(|(name, _)| name == "set"));
    assert!(verbs(&crate::cli::Cli::command(), &["nope".into()]).is_empty());
}
