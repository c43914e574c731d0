//! Help as a person reads it: on a terminal of 80 columns, for each verb, and for what is not a
//! verb.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;

use crate::support::{Nest, Said, said};

/// Lines of help on a terminal of 80 columns.
const COLUMNS: usize = 80;

fn at_80(nest: &Nest, args: &[&str]) -> Said {
    said(nest.tenure(args).env("COLUMNS", COLUMNS.to_string()).output().expect("the program runs"))
}

/// The verbs that the program lists, and those below them.
pub fn verbs(nest: &Nest) -> BTreeSet<Vec<String>> {
    let listed = |text: &str| -> Vec<String> {
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        names.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
    };
    let mut all = BTreeSet::from([vec![]]);
    for verb in listed(&nest.ok(&["-h"])) {
        all.insert(vec![verb.clone()]);
        let help = nest.ok(&[&verb, "-h"]);
        if let Some((_, below)) = help.split_once("\nVerbs:\n") {
            all.extend(listed(below).into_iter().map(|name| vec![verb.clone(), name]));
        }
    }
    assert!(all.len() > 60, "the lists are read as they are written: {all:?}");
    all
}

#[test]
fn help_fits_80_columns_and_short_help_is_one_line_an_option() {
    let nest = Nest::new();
    for path in verbs(&nest) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let short = at_80(&nest, &[&path[..], &["-h"]].concat());
        let long = at_80(&nest, &[&path[..], &["--help"]].concat());
        for said in [&short, &long] {
            assert!(said.code == 0 && said.err.is_empty(), "{path:?}: {said:?}");
            let widest = said.out.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(widest.chars().count() <= COLUMNS, "{path:?}: {widest}");
        }
        let wrapped = short.out.lines().find(|line| line.starts_with("            "));
        assert_eq!(wrapped, None, "{path:?}");
        assert_eq!(at_80(&nest, &[&["help"], &path[..]].concat()).out, long.out, "{path:?}");
    }
    assert_eq!(std::fs::read_dir(nest.path()).unwrap().count(), 0, "help makes no file");
}

#[test]
fn help_of_an_unknown_verb_suggests_the_nearest() {
    let nest = Nest::new();
    for (words, meant) in [
        (&["stauts"][..], "tenure status"),
        (&["queue", "lst"], "tenure queue ls"),
        (&["add", "make"], "tenure help add"),
        (&["queue", "set", "q"], "tenure help queue set"),
        (&["kill"], "tenure cancel"),
        (&["complete"], "there is no verb"),
        (&[""], "tenure --help"),
        (&["x".repeat(100_000).as_str()], "tenure --help"),
        (&["\x1b[2J\u{202e}"], "tenure --help"),
    ] {
        let said = nest.say(&[&["help"], words].concat());
        assert_eq!(said.code, 2, "{words:?}: {said:?}");
        assert!(said.out.is_empty() && said.err.contains(meant) && said.err.len() < 2_000, "{said:?}");
        assert!(!said.err.contains(['\x1b', '\u{202e}']), "{said:?}");
    }
    // An option is one of `help` itself.
    assert!(nest.ok(&["help", "-h"]).contains("Print the help of a verb"));
    assert_eq!(nest.say(&["help", "--nope"]).code, 2);
}

#[test]
fn a_verb_with_verbs_says_on_stderr_which_it_has() {
    let nest = Nest::new();
    let said = nest.say(&["queue"]);
    assert!(said.code == 2 && said.out.is_empty() && said.err.contains("resume") && !said.err.contains("Examples"), "{said:?}");
}

#[test]
fn help_needs_no_settings_and_no_reader() {
    let nest = Nest::new();
    let mut command = nest.tenure(&["help", "add"]);
    let broken = said(command.env("TENURE_CONFIG", "/no/such/file").env("TENURE_SLOTS", "x").output().unwrap());
    assert!(broken.code == 0 && broken.out.contains("Examples:"), "{broken:?}");
    let line = format!("{} help add | head -1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_tenure"));
    let closed = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
    assert!(closed.status.success() && closed.stderr.is_empty(), "{closed:?}");
}

#[test]
fn a_program_of_another_name_has_the_same_help() {
    let nest = Nest::new();
    for args in [&["--help"][..], &["cancel", "--help"], &["queue", "set", "-h"], &["queue"], &["cancel", "--bogus"]] {
        let by_name = nest.say(args);
        let renamed = said(nest.tenure(args).arg0("q").output().unwrap());
        assert_eq!((renamed.code, &renamed.out, &renamed.err), (by_name.code, &by_name.out, &by_name.err), "{args:?}");
    }
}

#[test]
fn a_value_that_looks_like_help_is_a_value() {
    let nest = Nest::new();
    let id = nest.add(&["--hold", "--", "echo", "--help"]);
    assert_eq!(nest.show(id)["command"][1], "--help");
}

#[test]
fn help_obeys_color() {
    let nest = Nest::new();
    for line in [&["help", "add"][..], &["add", "--help"], &["-h"], &["queue"]] {
        for (color, coloured) in
            [(&["--color", "always"][..], true), (&["--color=always"], true), (&["--color", "never"], false), (&[], false)]
        {
            let said = said(nest.tenure(&[color, line].concat()).output().unwrap());
            assert_eq!((said.out + &said.err).contains('\u{1b}'), coloured, "{color:?} {line:?}");
        }
    }
}
