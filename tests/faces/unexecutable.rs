//! A command that cannot be executed: value, reason, and a remedy that works when it is typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Nest, Said};

/// One thing that keeps a command from being executed.
struct Case {
    name: &'static str,
    /// Makes the files, with a shell, in the nest.
    make: &'static str,
    argv: &'static [&'static str],
    /// What the message must contain.
    says: &'static [&'static str],
    code: i32,
    /// Typed in the nest, and then `tenure retry`, the job is done. Where the message contains the remedy, the message is used.
    repair: Option<&'static str>,
}

const fn case(
    name: &'static str,
    make: &'static str,
    argv: &'static [&'static str],
    says: &'static [&'static str],
    code: i32,
    repair: Option<&'static str>,
) -> Case {
    Case { name, make, argv, says, code, repair }
}

/// The words up to the end of the message.
const TYPED: &str = "typed";

const CASES: &[Case] = &[
    case(
        "crlf",
        r"printf '#!/bin/sh\r\necho hi\r\n' > x; chmod +x x",
        &["./x"],
        &["/bin/sh\\r", "carriage return", "CR LF"],
        127,
        Some(TYPED),
    ),
    case(
        "crlf-in-the-argument",
        r"printf '#!/usr/bin/nope sh\r\n' > x; chmod +x x",
        &["./x"],
        &["\"/usr/bin/nope\", which does not exist"],
        127,
        None,
    ),
    case(
        "no-interpreter",
        r"printf '#!/opt/nope -x\n' > x; chmod +x x",
        &["./x"],
        &["\"/opt/nope\", which does not exist; install it"],
        127,
        None,
    ),
    case("interpreter-relative", r"printf '#!nope\n' > x; chmod +x x", &["./x"], &["\"nope\", which does not exist"], 127, None),
    case(
        "interpreter-in-path",
        r"printf '#!/opt/nope\n' > bin/found; chmod +x bin/found",
        &["found"],
        &["\"/opt/nope\", which does not exist"],
        127,
        None,
    ),
    case("interpreter-directory", r"printf '#!/\n' > x; chmod +x x", &["./x"], &["\"/\", which is a directory"], 126, None),
    case("no-name-after-sharp", r"printf '#!\n' > x; chmod +x x", &["./x"], &["names no interpreter", "#!/bin/sh"], 126, None),
    case("not-executable", r"printf '#!/bin/sh\n' > 'x y'", &["./x y"], &["it is not executable"], 126, Some(TYPED)),
    case("not-executable-in-path", r"printf '#!/bin/sh\n' > bin/found", &["found"], &["it is not executable"], 126, Some(TYPED)),
    case("directory", "mkdir x", &["./x"], &["it is a directory; name a program in it"], 126, None),
    case("pipe", "mkfifo x; chmod +x x", &["./x"], &["it is a pipe"], 126, None),
    case("empty", ": > x; chmod +x x", &["./x"], &["it is empty"], 126, None),
    case("plain-text", "echo echo hi > x; chmod +x x", &["./x"], &["#!/bin/sh on its first line", "-- sh "], 126, None),
    case(
        "byte-order-mark",
        r"printf '\357\273\277#!/bin/sh\n' > x; chmod +x x",
        &["./x"],
        &["byte order mark"],
        126,
        Some(TYPED),
    ),
    case("wrong-machine", WRONG_MACHINE, &["./x"], &["it is a program for s390x, and this machine is"], 126, None),
    case("cut-off", r"head -c 40 /bin/ls > x; chmod +x x", &["./x"], &["cut off"], 126, None),
    case("windows", r"printf 'MZ\0\0' > x; chmod +x x", &["./x"], &["a program for Windows"], 126, None),
    case("missing", ":", &["./x"], &["NEST/x does not exist; correct the path"], 127, None),
    case("missing-directory", ":", &["/no/such/x"], &["/no does not exist"], 127, None),
    case("dangling-link", "ln -s /no/target x", &["./x"], &["a link to /no/target, which does not exist"], 127, None),
    case("link-to-itself", "ln -s x x", &["./x"], &["a link that leads to itself"], 126, None),
    case("below-a-file", ": > x", &["./x/y"], &["NEST/x is a file, not a directory"], 126, None),
    case("not-in-path", ":", &["no-such-program"], &["in no directory of", "-e PATH="], 127, None),
    case("shell-line", ":", &["echo a | wc"], &["-c 'echo a | wc'"], 127, None),
    case("shell-word", ":", &["shopt", "-s", "nullglob"], &["shopt is a word of the shell", "-c 'shopt -s nullglob'"], 127, None),
    case("home", ":", &["~/x"], &["the place of ~", "-c '~/x'"], 127, None),
];

/// A head for a machine that this one is not: the bytes of an s390x program.
const WRONG_MACHINE: &str = r"{ printf '\177ELF\2\2\1\0\0\0\0\0\0\0\0\0\0\2\0\026'; head -c 100 /dev/zero; } > x; chmod +x x";

fn nest(make: &str) -> Nest {
    let nest = Nest::new();
    fs::create_dir(nest.file("bin")).unwrap();
    let made = Command::new("sh").args(["-c", make]).current_dir(nest.path()).status().unwrap();
    assert!(made.success(), "{make}");
    nest
}

fn run(nest: &Nest, args: &[&str]) -> Said {
    let path = format!("{}:/usr/bin:/bin", nest.file("bin").display());
    crate::support::said(nest.tenure(args).env("PATH", path).output().unwrap())
}

#[test]
fn each_fault_of_a_command_has_reason_and_remedy() {
    for case in CASES {
        let nest = nest(case.make);
        let said = run(&nest, &[&["run", "--"], case.argv].concat());
        for words in case.says {
            let words = words.replace("NEST", &nest.path().canonicalize().unwrap().display().to_string());
            assert!(said.err.contains(&words), "{}: {words:?} is missing in {said:?}", case.name);
        }
        assert_eq!(said.code, case.code, "{}: {said:?}", case.name);
        let why = nest.ok(&["why", "1"]);
        assert!(why.contains(case.says[0].replace("NEST", &nest.path().display().to_string()).as_str()), "{}: {why}", case.name);
        if case.repair.is_some() {
            let line = said.err.lines().find(|line| line.contains("job 1 ")).unwrap();
            let remedy = line.rsplit("; ").next().unwrap();
            let typed = Command::new("sh").args(["-c", remedy]).current_dir(nest.path()).status().unwrap();
            assert!(typed.success(), "{}: {remedy}", case.name);
            nest.ok(&["retry", "1"]);
            let path = format!("{}:/usr/bin:/bin", nest.file("bin").display());
            let worked = nest.tenure(&["work", "--until-idle"]).env("PATH", path).status().unwrap();
            assert!(worked.success());
            assert_eq!(nest.state(1), "done", "{}: {remedy} did not repair it: {}", case.name, nest.ok(&["why", "1"]));
        }
    }
}

#[test]
fn a_carriage_return_in_an_argument_is_named_before_and_after() {
    let faults = [
        ("#!/usr/bin/env sh", 127),
        ("#! /usr/bin/env  sh", 127),
        ("#!/usr/bin/env no-such-program", 127),
        ("#!/bin/sh -e", 2),
        ("#!/bin/bash -e", 1),
    ];
    for (line, code) in faults {
        let nest = nest(&format!(r"printf '{line}\r\necho hi\r\n' > x; chmod +x x; cp x bin/found"));
        for argv in [&["./x"][..], &["found"]] {
            let path = format!("{}:/usr/bin:/bin", nest.file("bin").display());
            let added = run(&nest, &[&["add", "-e", &format!("PATH={path}"), "--"], argv].concat());
            let id = added.out.trim().to_owned();
            assert!(added.err.contains("carriage return") && added.err.contains("sed -i"), "{line}: {added:?}");
            nest.work_until_idle(&[]);
            let job = nest.show(id.parse().unwrap());
            assert_eq!(job["exit_code"], code, "{line}: {job}");
        }
        let why = nest.ok(&["why", "1"]);
        assert!(why.contains("carriage return"), "{line}: {why}");
        let remedy = why.lines().find(|line| line.contains("sed -i")).unwrap().trim();
        assert!(Command::new("sh").args(["-c", remedy]).current_dir(nest.path()).status().unwrap().success(), "{remedy}");
        assert!(!nest.ok(&["why", "1"]).contains("carriage return"), "{line}");
    }
    for line in ["#!/usr/bin/env -S sh -e", "#!/usr/bin/env -vS sh", "#!/usr/bin/env --split-string=sh -e"] {
        let nest = nest(&format!(r"printf '{line}\r\n' > x; chmod +x x"));
        let said = run(&nest, &["run", "--", "./x"]);
        assert!(said.code == 0 && !said.err.contains("carriage return"), "{line}: {said:?}");
    }
}

#[test]
fn each_fault_of_a_directory_has_reason_and_remedy() {
    let cases: &[(&str, &str, &str, bool)] = &[
        (":", "gone/inner", "NEST/gone does not exist", true),
        (":", "gone", "mkdir -p NEST/gone", true),
        (": > gone", "gone", "it is a file; name a directory with --cwd", false),
        (": > gone", "gone/x", "NEST/gone is a file, not a directory", false),
        ("ln -s /no/target gone", "gone", "a link that leads nowhere", false),
    ];
    for (make, cwd, says, repairs) in cases {
        let nest = nest(make);
        let root = nest.path().canonicalize().unwrap().display().to_string();
        let said = run(&nest, &["run", "--cwd", cwd, "--", "true"]);
        assert!(said.err.contains(&says.replace("NEST", &root)), "{cwd}: {said:?}");
        assert_eq!(said.code, 126, "{said:?}");
        if *repairs {
            let line = said.err.lines().find(|line| line.contains("mkdir -p")).unwrap();
            let remedy = line.rsplit("; ").next().unwrap().split(',').next().unwrap();
            assert!(Command::new("sh").args(["-c", remedy]).status().unwrap().success(), "{remedy}");
            nest.ok(&["retry", "1"]);
            nest.work_until_idle(&[]);
            assert_eq!(nest.state(1), "done");
        }
    }
}

#[test]
fn what_a_user_may_not_reach_is_named() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("TENURE_TEST_ALL").is_none(), "this needs root");
        return println!("NOT TESTED: needs root");
    }
    let cases: &[(&str, &[&str], &str)] = &[
        ("mkdir -m 700 shut; cp /bin/true shut/x", &["shut/x"], "may not pass through NEST/shut (mode 0700, owner 0)"),
        ("cp /bin/true x; chmod 700 x", &["./x"], "may not execute it (mode 0700, owner 0)"),
    ];
    for (make, argv, says) in cases {
        let nest = nest(make);
        fs::set_permissions(nest.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let said = run(&nest, &[&["run", "--user", "nobody", "--"], *argv].concat());
        let root = nest.path().canonicalize().unwrap().display().to_string();
        assert!(said.err.contains(&says.replace("NEST", &root)), "{said:?}");
    }
    let nest = nest("mkdir -m 700 shut");
    fs::set_permissions(nest.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = run(&nest, &["run", "--user", "nobody", "--cwd", "shut", "--", "true"]);
    assert!(said.err.contains("may not enter it (mode 0700, owner 0)"), "{said:?}");
}

#[test]
fn a_command_of_a_lease_is_told_the_same() {
    for case in CASES.iter().filter(|case| case.code == 127) {
        let nest = nest(case.make);
        let said = run(&nest, &[&["lease", "run", "x", "--"], case.argv].concat());
        let words = case.says[0].replace("NEST", &nest.path().canonicalize().unwrap().display().to_string());
        assert!(said.err.contains(&words), "{}: {said:?}", case.name);
    }
}
