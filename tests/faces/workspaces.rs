//! Workspaces at the command line: invalid arguments are refused with the remedy and the right code, and nothing is made.

use crate::support::Nest;

#[test]
fn invalid_arguments_end_with_2_and_add_nothing() {
    let nest = Nest::new();
    let long = "x".repeat(201);
    let cases: &[(&[&str], &str)] = &[
        (&["add", "--prepare", "true", "--", "true"], "--workspace"),
        (&["add", "--workspace", "", "--", "true"], "--workspace KEY"),
        (&["add", "--workspace", &long, "--", "true"], "the limit is 200"),
        (&["add", "--workspace", "k", "--prepare", " ", "--", "true"], "empty"),
        (&["add", "--workspace", "k", "--cwd", "/etc", "--", "true"], "inside it"),
        (&["add", "--workspace", "k", "--cwd", "../x", "--", "true"], "leads out"),
        (&["add", "--workspace", "k", "--user", "nobody", "--", "true"], "omit one of them"),
        (&["workspace", "rm", ""], "key"),
        (&["workspace", "ensure", &long], "the limit is 200"),
        (&["workspace", "ensure", "k", "--prepare", ""], "empty"),
        (&["workspace"], "Usage"),
        (&["workspace", "nope"], "nope"),
    ];
    for (args, word) in cases {
        let said = nest.say(args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(said.err.contains(word), "{args:?}: {said:?}");
        assert!(said.err.len() < 2_000 && said.out.is_empty(), "{args:?}: {said:?}");
    }
    let work = std::fs::read_dir(nest.beside().join("work"));
    assert!(work.is_err() || work.unwrap().count() == 0);
    assert_eq!(nest.json(&["workspace", "ls", "--json"])["workspaces"], serde_json::json!([]));
}

#[test]
fn a_line_of_a_file_may_have_a_workspace() {
    let nest = Nest::new();
    std::fs::write(
        nest.file("jobs"),
        "{\"command\": [\"cat\", \"made\"], \"workspace\": \"k\", \"prepare\": [\"sh\", \"-c\", \"echo x >made\"]}\n\
         {\"command\": [\"pwd\"], \"workspace\": \"k\", \"prepare\": [\"sh\", \"-c\", \"echo x >made\"], \"cwd\": \"\"}\n",
    )
    .unwrap();
    nest.ok(&["add", "--from", "jobs"]);
    nest.work_until_idle(&[]);
    assert_eq!(nest.log(1), "x");
    assert!(nest.log(2).contains("/q.db.d/work/k-"), "{}", nest.log(2));
    let listed = nest.json(&["workspace", "ls", "--json"]);
    let one = &listed["workspaces"][0];
    assert_eq!((&listed["schema"], &one["key"], &one["present"]), (&1.into(), &"k".into(), &true.into()));
    for key in ["path", "prepared_at", "last_used_at"] {
        assert!(one[key].is_string(), "{key}: {one}");
    }
    assert!(one["bytes"].as_i64().unwrap() > 0);
}

#[test]
fn a_place_where_no_workspace_can_be_made_is_told_as_that() {
    let nest = Nest::new();
    let id = nest.sh(&["--workspace", "k", "--prepare", "true", "--max-deferrals", "0"], "true");
    std::fs::remove_dir(nest.beside().join("work")).unwrap();
    std::fs::create_dir(nest.file("elsewhere")).unwrap();
    std::os::unix::fs::symlink(nest.file("elsewhere"), nest.beside().join("work")).unwrap();
    nest.work_until_idle(&[]);
    let job = nest.show(id);
    assert_eq!((&job["state"], &job["reason"]), (&"failed".into(), &"workspace".into()), "{job}");
    assert!(job["error"].as_str().unwrap().contains("move it away"), "{job}");
    let said = nest.say(&["workspace", "ensure", "k"]);
    assert!(said.code == 6 && said.err.contains("move it away"), "{said:?}");
    let doctor = nest.say(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("move it away"), "{doctor:?}");
    assert_eq!(std::fs::read_dir(nest.file("elsewhere")).unwrap().count(), 0);
}
