//! `ls` for scripts and for a search: since when, in which order, which columns, in which format.

use crate::support::Nest;

/// Jobs 1 (done), 2 (failed later, with a hostile label) and 3 (held).
fn nest() -> Nest {
    let nest = Nest::new();
    nest.add(&["-l", "old", "--", "true"]);
    nest.work_until_idle(&[]);
    nest.sh(&["-l", "a,\"b\"\tc"], "exit 3");
    nest.work_until_idle(&[]);
    nest.add(&["-l", "new", "--hold", "--", "true"]);
    nest
}

#[test]
fn a_script_gets_the_columns_that_it_names() {
    let nest = nest();
    let csv = nest.ok(&["ls", "-a", "--format", "csv", "--columns", "id,state,exit_code,label"]);
    assert_eq!(csv, "id,state,exit_code,label\n1,done,0,old\n2,failed,3,\"a,\"\"b\"\"\tc\"\n3,queued,,new");
    let tsv = nest.ok(&["ls", "-a", "--format", "tsv"]);
    assert!(tsv.lines().all(|line| line.split('\t').count() == 10) && tsv.lines().count() == 4, "{tsv}");
    let json = nest.ok(&["ls", "-a", "--format", "json"]);
    assert_eq!(json, nest.ok(&["ls", "-a", "--json"]));
    assert_eq!(tsv.lines().nth(2).unwrap().split('\t').nth(4), Some("a,\"b\"\\tc"));
    assert!(tsv.lines().skip(1).all(|line| !line.split('\t').nth(1).unwrap().contains(' ')), "a state is a word: {tsv}");
    assert_eq!(nest.ok(&["ls", "-a", "--ids"]), "1\n2\n3");
    assert_eq!(nest.ok(&["ls", "--state", "done", "--ids", "-l", "none"]), "", "no line for no job");
    let table = nest.ok(&["ls", "-a", "--columns", "label,id"]);
    assert_eq!(table.lines().next(), Some("LABEL     ID"), "{table}");
}

#[test]
fn jobs_are_found_by_when_they_changed() {
    let nest = nest();
    let ended = nest.show(2)["finished_at"].as_str().expect("it has ended").to_owned();
    assert!(nest.show(1)["finished_at"].as_str().unwrap() < ended.as_str(), "an earlier worker ran it");
    assert_eq!(nest.ok(&["ls", "--since", &ended, "--ids"]), "2\n3", "ended ones too");
    assert_eq!(nest.ok(&["ls", "--since", &ended, "--state", "failed", "--ids"]), "2");
    assert_eq!(nest.ok(&["ls", "--since", "1d", "--ids"]), "1\n2\n3");
    assert_eq!(nest.ok(&["ls", "1-3", "--since", &ended, "--ids"]), "2\n3");
    let none = nest.say(&["ls", "--since", &ended, "--state", "done"]);
    assert!(none.code == 0 && none.out.is_empty() && none.err.contains(&format!("since {ended}")), "{none:?}");
    for (time, why) in
        [("+1h", "future"), ("2999-01-01", "future"), ("soon", "not a time"), ("", "missing"), ("1e9d", "not a time")]
    {
        let refused = nest.say(&["ls", "--since", time]);
        assert!(refused.code == 2 && refused.err.contains(why) && refused.err.contains("2h"), "{time:?}: {refused:?}");
    }
}

#[test]
fn jobs_are_sorted_by_a_column() {
    let nest = nest();
    let sorted = |by: &str| nest.ok(&["ls", "-a", "--ids", "--sort", by]);
    assert_eq!(sorted("finished_at"), "3\n1\n2", "what has not ended comes first");
    assert_eq!(sorted("label"), "2\n3\n1");
    assert_eq!(sorted("created_at"), "1\n2\n3");
    for args in [
        &["--sort", "size"][..],
        &["--columns", "id,size"],
        &["--columns", ""],
        &["--format", "xml"],
        &["--ids", "--json"],
        &["--json", "--format", "csv"],
        &["--json", "--columns", "id"],
        &["--ids", "--format", "csv"],
    ] {
        assert_eq!(nest.say(&[&["ls"], args].concat()).code, 2, "{args:?}");
    }
    let refused = nest.say(&["ls", "--columns", "size"]);
    assert!(refused.err.contains("finished_at") && refused.err.contains("command"), "it names all of them: {refused:?}");
}

#[test]
fn a_terminal_gets_no_control_character_in_any_format() {
    let nest = Nest::new();
    nest.ok(&["queue", "set", "q", "--slots", "1"]);
    let insert = "INSERT INTO job (command, label, user_hold) VALUES (json_array('true'), ?1, 1)";
    nest.sql().execute(insert, ["a\x1b[31m\u{9b}2J\nb"]).unwrap();
    for format in ["table", "csv", "tsv", "json"] {
        let shown = super::lists::on_terminal(&nest, &["ls", "--format", format], 200);
        let obeyed: Vec<char> = shown.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t')).collect();
        assert!(shown.contains("[31m") && obeyed.is_empty(), "{format}: {obeyed:?} in {shown:?}");
    }
    let piped = nest.ok(&["ls", "--format", "csv", "--columns", "id,label"]);
    assert_eq!(piped, "id,label\n1,\"a\x1b[31m\u{9b}2J\nb\"", "a pipe gets what the label is");
}
