//! The options that a verb shows: in its help, its manual page and its completions the same, and
//! each one is accepted.

use std::collections::BTreeSet;

use super::help::verbs;
use crate::support::Nest;

/// What each verb with options is given beside the one that is tried. `{}`: nothing.
const BASES: &[(&str, &str)] = &[
    ("add", "-- true"),
    // It would follow the job; what it refuses by itself, it refuses before.
    ("run", "--need-worker -- true"),
    ("work", "--until-idle"),
    ("status", ""),
    ("ls", ""),
    // Its job has ended before another verb requeues it.
    ("logs", "1"),
    ("wait", "1 --timeout 1ms"),
    ("cancel", "1"),
    ("retry", "1"),
    ("rerun", "1"),
    ("set", "2 priority=1"),
    ("move", "2 --first"),
    ("hold", "1"),
    ("release", "1"),
    ("suspend", "1"),
    ("resume", "1"),
    ("queue set", "q"),
    ("lane set", "k --limit 1"),
    ("pool set", "gpu --limit 1"),
    ("lease run", "n -- true"),
    ("lease release", "n"),
    ("workspace ensure", "k"),
    ("resource add", "vm --job 1 --teardown true"),
    ("resource ls", ""),
    ("resource release", "1"),
    ("schedule add", "n @daily -- true"),
    ("task start", "p"),
    ("task ls", ""),
    ("task stop", "1"),
    ("task advance", "1 --expect a --to b"),
    ("task retry", "1"),
    ("task logs", "1"),
    ("task wait", "1 --timeout 1ms"),
    ("events", ""),
    ("doctor", ""),
    ("backup", "copy"),
    ("prune", "--older-than 30d"),
    ("fence", "-- true"),
    ("schedule next", "n"),
    ("schedule history", "n"),
    ("schedule show", "n"),
    // Of no schedule, as each option would change what the next one finds.
    ("schedule set", "none --retries 0"),
    ("schedule import", "/dev/null"),
    ("import pueue", "state.json"),
    ("man", ""),
    // An address would be served until it is ended.
    ("web", "token"),
    // It reads the end of its input.
    ("mcp", ""),
];

/// Options that need another one, or that stand in the place of a part of the base.
const WITH: &[(&str, &str, &str)] = &[
    ("workspace ensure", "prepare", "k -"),
    ("*", "replace", "--unique k"),
    ("*", "prepare", "--workspace k"),
    ("*", "warn", "--timeout 1h"),
    ("*", "stop-on-failure", "--array 0-1"),
    ("*", "catch-up-max", "--catch-up all"),
    ("*", "since", "--queue q"),
    ("queue set", "launcher", "--slots 1"),
    ("queue set", "launcher-option", "--slots 1 --launcher slurm"),
    ("add", "chunk", "--from /dev/null -"),
    ("add", "from", "-"),
    ("work", "at-shutdown", "--end-runs -"),
    ("work", "end-runs", "-"),
    ("work", "until-empty", "-"),
    ("resource add", "task", "vm --teardown true -"),
    ("retry", "failed", "-"),
    ("move", "before", "2 -"),
    ("move", "after", "2 -"),
];

/// Sample values by the names that the help has for them.
const SAMPLES: &[(&str, &str)] = &[
    ("ACTION", "drain"),
    ("ADDR", "127.0.0.1:0"),
    ("COLUMN", "id"),
    ("COLUMN,...", "id,label"),
    ("COMMAND", "true"),
    ("CRON", "@daily"),
    ("DIR", "."),
    ("DURATION", "1h"),
    ("FILE", "/dev/null"),
    ("HOW", "queue"),
    ("FORMAT", "csv"),
    ("FIRST..MOST", "1s..2s"),
    ("ID", "1"),
    ("KEY", "k"),
    ("LABEL", "l"),
    ("LINE", "true"),
    ("LIST", "1"),
    ("N", "1"),
    ("NAME", "HOME"),
    ("NAME=N", "gpu=1"),
    ("NAME=VALUE", "A=b"),
    ("OPTION=VALUE", "partition=main"),
    ("LAUNCHER", "slurm"),
    ("OPTION", "lane"),
    ("PATH", "/tenure"),
    ("PIPELINE", "p"),
    ("POSITION", "0"),
    ("pause", "pause"),
    ("QUEUE", "q"),
    ("RANGE", "0-1"),
    ("REGEX", "x"),
    ("RUN", "1"),
    ("SIG@DURATION", "USR1@60s"),
    ("SIZE", "1G"),
    ("STAGE", "a"),
    ("STATE", "failed"),
    ("TEXT", "t"),
    ("TIME", "03:00"),
    ("WHAT", "moved"),
    ("WHICH", "all"),
    ("ZONE", "UTC"),
    ("-", "-"),
    ("none", "none"),
];

/// Options of every verb.
const GLOBAL: &[&str] = &["db", "json", "color", "allow-shared", "system", "help", "version"];

/// It takes half a minute, and has a test of its own.
const LONG: &str = "crash-test";
/// It follows until it is ended, and has tests of its own.
const ENDLESS: (&str, &str) = ("events", "follow");

/// The options in a help: name, and name of the value.
fn shown(help: &str) -> Vec<(String, Option<String>)> {
    let of_line = |line: &str| {
        let rest = line.trim_start();
        let rest =
            rest.split_once(", --").map_or(rest.strip_prefix("--"), |(_, rest)| Some(rest)).filter(|_| line.starts_with("  "))?;
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let value =
            rest[name.len()..].strip_prefix(" <").and_then(|value| value.split_once('>')).map(|(value, _)| value.to_owned());
        Some((name, value))
    };
    help.lines().filter_map(of_line).filter(|(name, _)| !GLOBAL.contains(&name.as_str())).collect()
}

/// The line that tries an option of a verb with a value.
fn line(verb: &str, name: &str, value: Option<&str>) -> Vec<String> {
    let (_, base) = BASES.iter().find(|(of, _)| *of == verb).unwrap_or_else(|| panic!("no base for {verb}"));
    let with = WITH.iter().find(|(of, option, _)| (*of == "*" || *of == verb) && *option == name).map_or("", |(.., with)| with);
    let base = match with.strip_suffix('-') {
        Some(with) => with.to_owned(),
        None if name == "shell" => base.split("--").next().unwrap_or_default().to_owned(),
        None => format!("{with} {base}"),
    };
    let option = format!("--{name}");
    let mut words: Vec<String> = verb.split(' ').map(str::to_owned).collect();
    if !base.split_whitespace().any(|word| word == option) {
        words.push(option);
        words.extend(value.map(str::to_owned));
    }
    words.extend(base.split_whitespace().map(str::to_owned));
    words
}

#[test]
fn each_option_that_a_verb_shows_is_accepted() {
    let nest = Nest::new();
    nest.add(&["-l", "l", "--", "true"]);
    nest.ok(&["cancel", "1"]);
    nest.ok(&["pool", "set", "gpu", "--limit", "1"]);
    std::fs::write(nest.file("state.json"), r#"{"tasks": {}}"#).unwrap();
    let idle = Nest::new();
    let mut tried = 0;
    for path in verbs(&nest) {
        let verb = path.join(" ");
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        for (name, value) in shown(&nest.ok(&[&words[..], &["-h"]].concat())) {
            if words.is_empty() || name == LONG || (verb.as_str(), name.as_str()) == ENDLESS {
                continue;
            }
            let alternatives: Vec<Option<&str>> = match &value {
                None => vec![None],
                Some(names) => {
                    let sample = |name: &str| SAMPLES.iter().find(|(of, _)| *of == name).map(|(_, sample)| *sample);
                    names
                        .split('|')
                        .map(|name| Some(sample(name).unwrap_or_else(|| panic!("{verb}: no sample of {name}"))))
                        .collect()
                }
            };
            for value in alternatives {
                let line = line(&verb, &name, value);
                let nest = if verb == "work" { &idle } else { &nest };
                let said = nest.say(&line.iter().map(String::as_str).collect::<Vec<_>>());
                // That is about the place, and not about an option.
                let is_outside = said.err.contains("this works inside a job of tenure only");
                // For monitoring, 2 means that there is no worker.
                let is_outside = is_outside || line == ["status", "--check"];
                assert!(said.code != 2 || is_outside, "{line:?}: {}", said.err);
                tried += 1;
            }
        }
    }
    assert!(tried > 140, "{tried}");
}

/// They share the options of `add`: what they could accept, they show.
#[test]
fn each_option_of_add_that_another_verb_hides_is_refused() {
    let nest = Nest::new();
    let of = |words: &[&str]| shown(&nest.ok(&[words, &["-h"]].concat()));
    for verb in ["run", "schedule add"] {
        let own: BTreeSet<String> = of(&verb.split(' ').collect::<Vec<_>>()).into_iter().map(|(name, _)| name).collect();
        assert!(own.len() > 20, "{verb}: {own:?}");
        for (name, value) in of(&["add"]).into_iter().filter(|(name, _)| !own.contains(name)) {
            let value = value.map(|names| names.split('|').next().unwrap_or_default().to_owned());
            let sample = value.map(|value| SAMPLES.iter().find(|(of, _)| *of == value).expect("a sample").1);
            let line = line(verb, &name, sample);
            let said = nest.say(&line.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(said.code, 2, "{line:?}: {}", said.err);
        }
    }
}

#[test]
fn help_manual_and_completions_show_the_same_options() {
    let nest = Nest::new();
    for path in verbs(&nest) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let of_help: BTreeSet<String> =
            shown(&nest.ok(&[&words[..], &["-h"]].concat())).into_iter().map(|(name, _)| name).collect();
        let asked = [&["complete", "fish", "--", "tenure"], &words[..], &["--"]].concat();
        let offered = nest.ok(&asked);
        let of_shell = offered.lines().filter_map(|line| line.split('\t').next()?.strip_prefix("--"));
        let of_shell: BTreeSet<String> =
            of_shell.filter(|name| !name.is_empty() && !GLOBAL.contains(name)).map(str::to_owned).collect();
        assert_eq!(of_help, of_shell, "{words:?}");
        let page = nest.ok(&[&["man"], &words[..]].concat()).replace('\\', "");
        let of_page: BTreeSet<String> = page
            .lines()
            .filter(|line| line.starts_with("fB-"))
            .filter_map(|line| {
                line.split_once("fB--").and_then(|(_, rest)| rest.split_once("fR")).map(|(name, _)| name.to_owned())
            })
            .filter(|name| !GLOBAL.contains(&name.as_str()))
            .collect();
        assert_eq!(of_help, of_page, "{words:?}");
    }
}
