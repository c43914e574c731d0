use clap::{CommandFactory, Parser};

use crate::cli::command_line::Cli;

use super::*;

/// Returns the message for this line, which must be refused.
fn told(line: &str) -> String {
    let arguments = std::iter::once("tenure").chain(line.split_whitespace());
    let error = crate::cli::command_line::parse(arguments.map(Into::into)).expect_err(line);
    own_words(&error, &Cli::command()).unwrap_or_else(|| without_wrong_tips(&error.render().to_string()))
}

/// A command as it would be typed, with something in each place.
fn typed(command: &str) -> Vec<String> {
    let places = [("ID", "1"), ("DURATION", "1d"), ("QUEUE", "q"), ("COMMAND", "true"), ("NAME", "n"), ("FILE", "f")];
    let command = command.replace("'30 3 * * *'", "@daily");
    let word = |word: &str| places.iter().find(|(place, _)| *place == word).map_or(word, |(_, value)| *value).to_owned();
    command.split_whitespace().map(word).collect()
}

#[test]
fn verbs_of_other_queues_name_the_verb_that_does_it_here() {
    let mut walked = 0;
    for (name, does) in foreign::verbs() {
        let text = told(name);
        assert!(text.starts_with(&format!("there is no verb {name:?}; ")), "{text}");
        for (_, command) in does {
            assert!(text.contains(command), "{text}");
            let words = typed(command);
            if !words.contains(&"--version".to_owned()) {
                Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{name}: {words:?}: {error}"));
            }
        }
        walked += 1;
    }
    assert!(walked > 100, "{walked}");
    for name in "kill list log stash unpause start remove delete stop restart follow tail ps watch info del clean".split(' ') {
        assert!(foreign::verb(name).is_some(), "{name}");
    }
    // None of them hides an existing verb.
    let root = Cli::command();
    assert!(foreign::verbs().all(|(name, _)| root.find_subcommand(name).is_none()));
}

#[test]
fn a_mistyped_verb_or_option_leads_to_the_one_that_was_meant() {
    for (line, meant) in [
        ("lss", "tenure ls?"),
        ("schedle ls", "tenure schedule?"),
        ("cancle 7", "tenure cancel?"),
        ("stauts", "tenure status?"),
        ("hsitory 7", "tenure history?"),
        ("queue lst", "tenure queue ls?"),
        ("queue list", "tenure queue ls?"),
        ("queue remove q", "tenure queue rm?"),
        ("lane create x", "tenure lane set?"),
        ("schedule delete x", "tenure schedule rm?"),
        ("schedule ad", "tenure schedule add?"),
        ("schedule disable x", "tenure schedule pause?"),
        ("lease unlock x", "tenure lease release?"),
        ("task cancel 1", "tenure task stop?"),
        ("pipeline load f", "tenure pipeline apply?"),
        ("add --prioriy 3 -- x", "did you mean --priority?"),
        ("ls --labl x", "did you mean --label?"),
        ("work --slot 3", "did you mean --slots?"),
        ("run --tiemout=5m -- x", "did you mean --timeout?"),
        ("add --queu q -- x", "did you mean --queue?"),
        ("--jsn ls", "did you mean --json?"),
        ("schedule add n @daily --timezone UTC -- x", "tenure schedule add has no option \"--timezone\""),
        ("add --timeout -5s -- x", "write a value that begins with - after ="),
        ("logs --tail 5 1", "that is -n N here"),
        ("work -j 4", "that is --slots N here"),
        ("add -g build -- x", "that is --queue QUEUE here"),
        ("add --name x -- x", "that is --label LABEL here"),
        ("run --group=x -- x", "that is --queue QUEUE here"),
        ("ls --status failed", "that is --state STATE here"),
        ("--until-idle work", "tenure work --until-idle"),
        ("7", "tenure show 7"),
        ("add -p 5 -- x", "options of the command come after --, as in: tenure add -- ls -l"),
        ("cancel --all", "tenure cancel has no option \"--all\" (tenure cancel --help lists them)"),
        ("make", "tenure add -- make"),
    ] {
        let text = told(line);
        assert!(text.contains(meant), "{line}: {text}");
        assert!(!text.contains("as a value"), "{line}: {text}");
        assert!(!text.contains('\n'), "{line}: {text}");
    }
    for (verb, names) in [("", "zzz"), ("queue", "zzz"), ("schedule", "qqq")] {
        let text = told(&format!("{verb} {names}"));
        assert!(text.contains(names) && !text.contains("did you mean"), "{text}");
    }
}

#[test]
fn a_negative_number_is_refused_as_the_intended_value() {
    for line in [
        "add --timeout -5 -- x",
        "add --retries -1 -- x",
        "add --delay -5 -- x",
        "add --memory -5 -- x",
        "run -t -5 -- x",
        "work --slots -1",
        "ls -n -5",
        "logs -n -5 1",
        "logs -5",
        "cancel -5",
        "wait 1 --timeout -5",
        "queue set q --slots -1",
        "lane set l --limit -1",
        "prune --older-than -5",
        "lease run n --wait -5 -- x",
        "schedule next n -n -1",
        "add --priority=-99999999999999999999 -- x",
    ] {
        let text = told(line);
        assert!(
            !text.contains("as a value") && !text.contains("unexpected") && !text.contains("has no option"),
            "{line}: {text}"
        );
        let number =
            line.split([' ', '=']).find(|word| word.strip_prefix('-').is_some_and(|n| n.parse::<f64>().is_ok())).unwrap();
        assert!(text.contains(number), "{line}: {text}");
    }
    // It is accepted where it is meaningful.
    for line in ["add -o -5 -- x", "add --priority -5 -- x", "add --nice -5 -- x"] {
        let arguments = std::iter::once("tenure").chain(line.split_whitespace());
        assert!(crate::cli::command_line::parse(arguments.map(Into::into)).is_ok(), "{line}");
    }
}

#[test]
fn each_mistake_has_value_reason_and_remedy_on_one_line() {
    for (line, words) in [
        ("add make all", ["the command comes after --", "tenure add -- make"]),
        ("add -c echo hi", ["a shell line is one argument: -c 'LINE'", "tenure add -- hi"]),
        ("schedule add n 30 2 * * * -- x", ["in quotes", "tenure schedule add NAME '30 2 * * *'"]),
        ("-v", ["has no option \"-v\"", "comes after its verb ("]),
        ("run make", ["the command comes after --", "tenure run -- make"]),
        ("lease run gpu make", ["the command comes after --", "tenure lease run NAME -- make"]),
        ("queue pause a b", ["has no place for \"b\"", "tenure queue pause --help"]),
        ("add --timeout 5 -- x", ["--timeout: \"5\" has no unit", "write 5s"]),
        ("add --timeout", ["--timeout has no value", "write --timeout DURATION"]),
        ("add --priority high -- x", ["--priority: 'high'", "not a whole number; write digits"]),
        ("add --retries -1 -- x", ["--retries: -1 is out of range", "from 0 to "]),
        ("lane set l --limit 0", ["--limit: 0 is out of range", "from 1 to 1000000"]),
        ("completions tcsh", ["SHELL: \"tcsh\" is not known", "write bash, elvish, fish, powershell or zsh"]),
        ("work --on-term x", ["--on-term: \"x\" is not known", "write detach, drain or end"]),
        ("ls -n 0", ["0 is too small", "write 1 or more"]),
        ("show nightly", ["\"nightly\" is not a job", "write 7, 3-9"]),
        ("wait nightly", ["\"nightly\" is not a job", "jobs with that label: --label nightly"]),
        ("ls --state runing", ["--state: there is no state \"runing\"", "queued, running, done, failed and cancelled"]),
        ("schedule add n", ["CRON is missing", "write tenure schedule add"]),
        ("prune", ["--older-than DURATION is missing", "write tenure prune"]),
    ] {
        let text = told(line);
        assert!(words.iter().all(|word| text.contains(word)), "{line}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{line}: {text}");
    }
}

#[test]
fn what_was_typed_reaches_no_terminal_as_it_was() {
    for word in
        ["\x1b[2J", "--\x1b]0;x\x07", "a\u{202e}b", "-\u{9b}", &"x".repeat(100_000), &format!("--{}", "y".repeat(100_000))]
    {
        let error = crate::cli::command_line::parse(["tenure".into(), word.into()]).expect_err("refused");
        let text = escape::lines(&own_words(&error, &Cli::command()).expect("ours"));
        assert!(!text.contains(escape::is_unsafe) && text.len() < 1_000, "{text}");
    }
}
