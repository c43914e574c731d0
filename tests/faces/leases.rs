//! `lease` and `fence` from outside: codes, what is said, and names that would command a terminal.

use crate::support::{Nest, Said, kill_child};

fn lease(nest: &Nest, args: &[&str]) -> Said {
    nest.say(&[&["lease", "run", "gpu"], args].concat())
}

#[test]
fn a_command_under_a_lease_ends_it_as_it_ends_itself() {
    let nest = Nest::new();
    let cases: &[(&[&str], i32)] = &[
        (&["--", "true"], 0),
        (&["-c", "exit 9"], 9),
        (&["-c", "exit 75"], 75),
        (&["-c", "kill -9 $$"], 137),
        (&["-c", "kill -TERM $$"], 143),
        (&["--", "no-such-program"], 127),
        (&["--", "./not-here"], 127),
        (&["--", "/etc/passwd"], 126),
        (&["--wait", "1h", "--", "true"], 0),
    ];
    for (args, code) in cases {
        let said = lease(&nest, args);
        assert_eq!(said.code, *code, "{args:?}: {said:?}");
        assert_eq!(nest.json(&["lease", "ls", "--json"])["leases"], serde_json::json!([]), "{args:?}");
    }
    let missing = lease(&nest, &["--", "no-such-program"]);
    let words = "tenure: error: no-such-program: No such file or directory; it is in no directory of ";
    assert!(missing.err.starts_with(words) && missing.err.contains("install it"), "{missing:?}");
}

#[test]
fn it_has_the_terminal_input_and_environment_of_the_caller() {
    let nest = Nest::new();
    std::fs::write(nest.file("input"), "typed\n").unwrap();
    let mut command = nest.tenure(&["lease", "run", "gpu", "--", "sh", "-c", "cat; echo $HERE; echo told >&2; pwd"]);
    command.stdin(std::fs::File::open(nest.file("input")).unwrap()).env("HERE", "there");
    let said = crate::support::said(command.output().unwrap());
    let here = std::fs::canonicalize(nest.path()).unwrap();
    assert_eq!((said.out, said.err.as_str()), (format!("typed\nthere\n{}\n", here.display()), "told\n"));
}

#[test]
fn one_that_is_held_is_refused_with_who_since_when_and_why() {
    let nest = Nest::new();
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let inner = format!(
        "{tenure} lease run gpu -- true; echo $?; {tenure} lease run gpu --wait 1ms -- true; echo $?; \
         {tenure} lease run other -- {tenure} lease run third -- {tenure} lease ls; {tenure} lease release gpu; echo $?; \
         {tenure} status; {tenure} lease run gpu --wait 0s -- true; echo $?"
    );
    let said = lease(&nest, &["--why", "a long one", "-c", &inner]);
    assert_eq!(said.code, 0, "{said:?}");
    let codes: Vec<&str> = said.out.lines().filter(|line| line.parse::<i32>().is_ok()).collect();
    assert_eq!(codes, ["6", "124", "6", "124"], "{said:?}");
    let table: Vec<&str> = said.out.lines().filter(|line| line.contains(" held ")).collect();
    assert_eq!(table.len(), 4, "three in ls, one in status: {said:?}");
    assert!(said.err.contains("held by pid") && said.err.contains("because: a long one"), "{said:?}");
    assert!(said.err.contains("--wait DURATION waits for it") && said.err.contains("--force"), "{said:?}");
}

#[test]
fn invalid_arguments_end_with_2_and_an_unknown_name_with_3() {
    let nest = Nest::new();
    let name = "n".repeat(201);
    let why = "y".repeat(1_001);
    let wrong: &[&[&str]] = &[
        &["lease", "run", "gpu"],
        &["lease", "run", "gpu", "true"],
        &["lease", "run", "--", "true"],
        &["lease", "run", "", "--", "true"],
        &["lease", "run", &name, "--", "true"],
        &["lease", "run", "gpu", "--why", &why, "--", "true"],
        &["lease", "run", "gpu", "--wait", "soon", "--", "true"],
        &["lease", "run", "gpu", "--wait", "-1s", "--", "true"],
        &["lease", "run", "workspace/x", "--", "true"],
        &["lease", "run", "gpu", "-c", "true", "--", "true"],
        &["lease", "run", "gpu", "--", ""],
        &["lease"],
        &["lease", "release"],
        &["lease", "release", ""],
        &["fence"],
        &["fence", "--", "true"],
    ];
    for args in wrong {
        let said = nest.say(args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(!said.err.is_empty() && said.err.len() < 2_000, "{args:?}: {said:?}");
    }
    assert!(!nest.db().exists(), "a mistake makes no file");
    assert_eq!(nest.say(&["lease", "ls"]).code, 4, "a reader makes none either");
    nest.add(&["--hold", "--", "true"]);
    let unknown = nest.say(&["lease", "release", "gpu"]);
    assert!(unknown.code == 3 && unknown.err.contains("tenure lease ls"), "{unknown:?}");
    assert_eq!(nest.say(&["lease", "release", "gpu", "--force"]).code, 3);
}

#[test]
fn a_file_that_cannot_be_used_runs_nothing() {
    let nest = Nest::new();
    std::fs::write(nest.db(), "this is not a database, and it is long enough to be read as one by mistake").unwrap();
    let said = lease(&nest, &["-c", "touch ran"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(!nest.file("ran").exists());
}

#[test]
fn a_directory_that_cannot_be_written_runs_nothing_and_says_so() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    std::fs::write(nest.beside().join("leases"), "a file, not a directory").unwrap();
    let said = lease(&nest, &["-c", "touch ran"]);
    assert_eq!(said.code, 125, "the code of no command: {said:?}");
    assert!(said.err.contains("leases") && !nest.file("ran").exists(), "{said:?}");
    assert_eq!(nest.say(&["lease", "ls"]).code, 0);
}

#[test]
fn names_and_reasons_never_command_a_terminal() {
    let nest = Nest::new();
    let tenure = env!("CARGO_BIN_EXE_tenure");
    let (name, why) = ("g\x1b[2J\u{202e}\np\x07u\u{9b}31m", "\x1b]0;owned\x07 \u{9b}31m\n");
    let inner = format!(
        "{tenure} lease ls; {tenure} lease ls --json; {tenure} status; {tenure} lease run \"$NAME\" -- true; \
                         {tenure} lease release \"$NAME\"; {tenure} lease release \"x$NAME\"; {tenure} lease release \"$NAME\" --force"
    );
    let mut command = nest.tenure(&["lease", "run", name, "--why", why, "--", "sh", "-c", &inner]);
    let said = crate::support::said(command.env("NAME", name).output().unwrap());
    for text in [&said.out, &said.err] {
        let commands = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(commands), "{text:?}");
    }
    let json = said.out.lines().find(|line| line.starts_with('{')).unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&json["leases"][0]["name"], &json["leases"][0]["why"]), (&name.into(), &why.into()), "a script gets it as it is");
}

#[test]
fn a_lease_names_what_holds_it_when_its_wrapper_is_dead() {
    let nest = Nest::new();
    let mut wrapper = nest.tenure(&["lease", "run", "gpu", "-c", "sleep 600 & echo $! >pid.new; mv pid.new pid; wait"]);
    let mut wrapper = wrapper.spawn().unwrap();
    let read = || std::fs::read_to_string(nest.file("pid")).ok()?.trim().parse::<i32>().ok();
    let left = crate::support::until("the command", read);
    kill_child(&mut wrapper);
    let sleeper = format!("{left} sleep");
    for args in [["lease", "run", "gpu", "--", "true"].as_slice(), &["lease", "release", "gpu"]] {
        let said = nest.say(args);
        assert_eq!(said.code, 6, "{said:?}");
        let ended = format!("tenure lease run (pid {}) has ended, and what it started lives on", wrapper.id());
        assert!(said.err.contains(&ended) && said.err.contains(&sleeper), "{args:?}: {said:?}");
    }
    let list = nest.ok(&["lease", "ls"]);
    assert!(list.contains("held") && list.contains(&sleeper), "{list}");
    assert!(list.contains(&format!("(pid {} has ended)", wrapper.id())), "{list}");
    // A command that waits is told who has it, and gets in when that is gone.
    let err = std::fs::File::create(nest.file("err")).unwrap();
    let mut waits = nest.tenure(&["lease", "run", "gpu", "--wait", "1h", "--", "true"]).stderr(err).spawn().unwrap();
    let told = || std::fs::read_to_string(nest.file("err")).ok().filter(|text| text.contains("waiting for the lease \"gpu\""));
    assert!(crate::support::until("it to be told", told).contains(&sleeper));
    for pid in nest.processes().into_iter().filter(|pid| *pid != waits.id() as i32) {
        crate::support::kill(pid, crate::support::Signal::KILL);
    }
    assert!(waits.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(nest.file("err")).unwrap().lines().count(), 1, "once");
}
