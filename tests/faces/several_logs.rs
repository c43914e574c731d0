//! `logs` of several jobs, and of the lines that match.

use std::process::Stdio;

use crate::support::{Nest, said, until};

#[test]
fn each_line_begins_with_the_number_of_its_job() {
    let nest = Nest::new();
    nest.sh(&["-l", "a"], "printf 'one\\ntwo'");
    nest.sh(&["-l", "a", "-q", "q"], "printf '\\nthree\\n'");
    nest.sh(&["-l", "b"], "true");
    nest.work_until_idle(&[]);
    nest.sh(&["-l", "a", "--hold"], "true");
    let all = "1| one\n1| two\n2| \n2| three\n";
    for selector in [&["1,2"][..], &["1-3"], &["@a"], &["--label", "a"], &["--label", "a", "--state", "done"]] {
        assert_eq!(nest.say(&[&["logs"], selector].concat()).out, all, "{selector:?}");
    }
    assert!(nest.say(&["logs", "@a"]).err.contains("job 4 has not run yet"), "what has no output is named");
    assert_eq!(nest.say(&["logs", "--queue", "q"]).out, "\nthree\n", "one job: as it was written");
    assert_eq!(nest.say(&["logs", "1,2", "-n", "1"]).out, "1| two\n2| three\n");
    assert_eq!(nest.say(&["logs", "1,2", "--run", "1"]).code, 2);
    assert_eq!(nest.say(&["logs"]).code, 2);
    for selector in [&["--label", "none"][..], &["@none"], &["1,99"], &["-f", "--label", "b"]] {
        let said = nest.say(&[&["logs"], selector].concat());
        assert!(said.code == 3 && said.out.is_empty(), "{selector:?}: {said:?}");
    }
}

#[test]
fn several_jobs_are_followed_until_all_have_ended() {
    let nest = Nest::new();
    let gate = |name: &str| format!("while [ ! -e {} ]; do sleep 0.05; done", nest.file(name).display());
    nest.sh(&["-l", "old"], "echo old");
    nest.work_until_idle(&[]);
    nest.sh(&["-l", "old"], &format!("echo begin; printf half; {}; echo way", gate("first")));
    nest.sh(&["-l", "old"], &format!("{}; echo other; exit 3", gate("second")));
    let _worker = nest.work(&["--slots", "2"]);
    let follower = nest.tenure(&["logs", "-f", "@old"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the first to begin", || nest.log(2).contains("half").then_some(()));
    std::fs::write(nest.file("second"), "").unwrap();
    nest.until_ended(3);
    std::fs::write(nest.file("first"), "").unwrap();
    let said = said(follower.wait_with_output().unwrap());
    let of = |prefix: &str| said.out.lines().filter(|line| line.starts_with(prefix)).collect::<Vec<_>>();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!((of("2| "), of("3| ")), (vec!["2| begin", "2| halfway"], vec!["3| other"]), "{said:?}");
    assert_eq!(said.out.lines().count(), 3, "not of the one that had ended: {said:?}");
    let ended = nest.say(&["logs", "-f", "1-3"]);
    assert_eq!(ended.out, "1| old\n2| begin\n2| halfway\n3| other\n", "named jobs that have ended");
    let ids = "1,".repeat(200) + "1";
    assert_eq!(nest.ok(&["logs", "-f", &ids]), "old", "each once");
    nest.ok(&["add", "--array", "0-199", "--hold", "--", "true"]);
    let many = nest.say(&["logs", "-f", "--state", "queued"]);
    assert!(many.code == 2 && many.err.contains("at most 100"), "{many:?}");
}

#[test]
fn lines_that_match_are_found() {
    let nest = Nest::new();
    nest.sh(&[], "printf 'an Error\\r\\nfine\\nerror: 1\\nlast error'");
    nest.sh(&[], "head -c 3000000 /dev/zero | tr '\\0' x; echo error; printf '\\377 error\\n\\033[31merror\\033[0m\\n'");
    nest.work_until_idle(&[]);
    let grep = |args: &[&str]| nest.tenure(&[&["logs"], args].concat()).output().unwrap();
    assert_eq!(grep(&["1", "--grep", "error"]).stdout, b"error: 1\nlast error\n");
    assert_eq!(grep(&["1", "--grep", "(?i)^an error$"]).stdout, b"an Error\r\n");
    assert_eq!(grep(&["1", "-n", "2", "--grep", "error"]).stdout, b"error: 1\nlast error\n");
    assert_eq!(grep(&["-f", "1", "--grep", "^fine"]).stdout, b"fine\n");
    let long = grep(&["1,2", "--grep", "error"]);
    assert_eq!(long.stdout, b"1| error: 1\n1| last error\n2| \xff error\n2| \x1b[31merror\x1b[0m\n");
    assert!(String::from_utf8_lossy(&long.stderr).contains("job 2 wrote a line of more than"), "{long:?}");
    assert_eq!(grep(&["2", "--grep", "^x"]).stdout.len(), 3_000_006, "the whole line");
    let none = nest.say(&["logs", "1,2", "--grep", "nowhere"]);
    assert!(none.code == 1 && none.out.is_empty() && none.err.contains("no line matches nowhere"), "{none:?}");
    for (pattern, why) in [("(", "unclosed group"), ("a{1000}{1000}{1000}", "size limit"), ("*", "missing expression")] {
        let refused = nest.say(&["logs", "1", "--grep", pattern]);
        assert!(refused.code == 2 && refused.err.contains(why), "{pattern:?}: {refused:?}");
    }
    for pattern in ["\x1b[2J(", &"(".repeat(5_000), &"x".repeat(20_000)] {
        let refused = nest.say(&["logs", "1", "--grep", pattern]);
        assert!(refused.code == 2 && refused.err.len() < 2_000 && !refused.err.contains('\x1b'), "{refused:?}");
    }
    assert_eq!(nest.say(&["logs", "1", "--grep", ""]).out, "an Error\r\nfine\nerror: 1\nlast error\n", "every line matches");
}
