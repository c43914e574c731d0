//! Every verb by its owner, another user, a member of the group of operators and root.

use super::{ANN, BOB, OPERATOR, OPERATORS, Town, can_be_several, uid};

/// How a verb ends for each of these users; the last is another user's try at a job of root.
struct Row {
    verb: &'static [&'static str],
    /// The state in which the job is before.
    before: Before,
    owner: i32,
    other: i32,
    operator: i32,
    of_root: i32,
}

#[derive(Clone, Copy, PartialEq)]
enum Before {
    Held,
    Ended,
}

const ROWS: &[Row] = &[
    Row { verb: &["show", "ID", "--json"], before: Before::Held, owner: 0, other: 0, operator: 0, of_root: 0 },
    Row { verb: &["ls", "ID", "--json"], before: Before::Held, owner: 0, other: 0, operator: 0, of_root: 0 },
    Row { verb: &["why", "ID"], before: Before::Held, owner: 0, other: 6, operator: 6, of_root: 6 },
    Row { verb: &["history", "ID"], before: Before::Held, owner: 0, other: 6, operator: 6, of_root: 6 },
    Row { verb: &["logs", "ID"], before: Before::Ended, owner: 0, other: 6, operator: 6, of_root: 6 },
    Row { verb: &["wait", "ID"], before: Before::Ended, owner: 3, other: 1, operator: 1, of_root: 1 },
    Row {
        verb: &["add", "--after", "ID", "--hold", "--", "true"],
        before: Before::Held,
        owner: 0,
        other: 3,
        operator: 3,
        of_root: 3,
    },
    Row { verb: &["hold", "ID"], before: Before::Held, owner: 0, other: 6, operator: 0, of_root: 6 },
    Row { verb: &["cancel", "ID"], before: Before::Held, owner: 0, other: 6, operator: 0, of_root: 6 },
    Row { verb: &["release", "ID"], before: Before::Held, owner: 0, other: 6, operator: 0, of_root: 6 },
    Row { verb: &["retry", "ID"], before: Before::Ended, owner: 0, other: 6, operator: 0, of_root: 6 },
    Row { verb: &["rm", "ID"], before: Before::Ended, owner: 0, other: 6, operator: 6, of_root: 6 },
];

const SECRETS: [&str; 5] = ["secret-word", "secret-value", "secret-output", "secret-key", "secret-result"];
const LINE: &str = "echo secret-output; echo secret-result >$TENURE_RESULT; : secret-word; exit 3";

fn job(town: &Town, before: Before) -> (String, String) {
    let hold: &[&str] = if before == Before::Held { &["--hold"] } else { &[] };
    let options = ["-l", "shown", "--unique", "secret-key", "--replace", "-e", "A=secret-value", "-c", LINE];
    let of_user = town.add(ANN, &[hold, &options].concat());
    let of_root = town.nest.ok(&[&["add"], hold, &options].concat());
    if before == Before::Ended {
        town.until_state(&of_user, "failed");
        town.until_state(&of_root, "failed");
    }
    (of_user, of_root)
}

#[test]
fn every_verb_of_every_user_ends_as_it_should() {
    if !can_be_several("verbs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[("PEOPLE_GROUP", OPERATORS)]);
    for row in ROWS {
        for (user, code) in [(ANN, row.owner), (BOB, row.other), (OPERATOR, row.operator)] {
            let (of_user, of_root) = job(&town, row.before);
            let with = |id: &str| row.verb.iter().map(|word| word.replace("ID", id)).collect::<Vec<_>>();
            let say = |user: &str, id: &str| {
                let args = with(id);
                town.say(user, &args.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let rows = |id: &str| {
                let sql = "SELECT concat_ws('|', state, user_hold, attempts, run_id, (SELECT count(*) FROM cancel WHERE job_id = job.id)) FROM job WHERE id = ?1";
                town.nest.sql().query_row(sql, [id], |row| row.get::<_, String>(0)).ok()
            };
            let before = [rows(&of_user), rows(&of_root)];
            let said = say(user, &of_user);
            assert_eq!(said.code, code, "{user}: {:?}: {said:?}", row.verb);
            if code != 0 || !["hold", "cancel", "release", "retry", "rm"].contains(&row.verb[0]) {
                assert_eq!(rows(&of_user), before[0], "{user}: {:?}: nothing has changed", row.verb);
            }
            let at_root = say(user, &of_root);
            assert_eq!(at_root.code, row.of_root, "{user}: {:?} of root's job: {at_root:?}", row.verb);
            assert_eq!(rows(&of_root), before[1], "{user}: {:?}: nothing of root's has changed", row.verb);
            let told = if user == ANN { vec![at_root] } else { vec![said, at_root] };
            for said in told {
                for secret in SECRETS {
                    assert!(
                        !said.out.contains(secret) && !said.err.contains(secret),
                        "{user}: {:?}: {secret}: {said:?}",
                        row.verb
                    );
                }
            }
        }
        // Root has the file.
        let (of_user, _) = job(&town, row.before);
        if row.verb[0] != "add" {
            let args: Vec<String> = row.verb.iter().map(|word| word.replace("ID", &of_user)).collect();
            let said = town.nest.say(&args.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(said.code == row.owner, "root: {args:?}: {said:?}");
        }
    }
}

/// The keys of what another user sees of a job: one that is not here is not told.
const OUTLINE: [&str; 9] = ["schema", "id", "state", "queue", "label", "created_at", "started_at", "finished_at", "owner"];

#[test]
fn another_user_sees_that_a_job_exists_and_no_more() {
    if !can_be_several("what users see") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[("PEOPLE_GROUP", OPERATORS)]);
    let (held, of_root) = job(&town, Before::Held);
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for user in [BOB, OPERATOR] {
        let listed: serde_json::Value = serde_json::from_str(&town.ok(user, &["ls", "-a", "--json"])).unwrap();
        for one in listed["jobs"].as_array().unwrap() {
            assert_eq!(keys(one), OUTLINE, "{one}");
            assert!(one["label"] == "shown" && one["queue"] == "default" && one["state"] == "queued", "{one}");
        }
        for id in [&held, &of_root] {
            assert_eq!(keys(&town.show(user, id)), OUTLINE);
            let all = [town.ok(user, &["show", id]), town.ok(user, &["ls"]), town.ok(user, &["status"])].concat();
            assert!(SECRETS.iter().all(|secret| !all.contains(secret)), "{all}");
        }
        assert_eq!(town.show(user, &held)["owner"], uid(ANN));
        assert!(town.ok(user, &["ls"]).contains(ANN) && town.ok(user, &["ls"]).contains("root"));
    }
    // Its owner sees all of it, and nothing of root's.
    let own = town.show(ANN, &held);
    assert!(own["env"]["A"] == "secret-value" && own["unique"].as_str().unwrap().ends_with("/secret-key"), "{own}");
    let table = town.nest.ok(&["ls"]);
    assert!(table.lines().next().unwrap().contains("OWNER") && table.contains(ANN), "{table}");
}

#[test]
fn why_says_nothing_of_the_worker_to_a_user() {
    if !can_be_several("what users see") {
        return;
    }
    let town = Town::new();
    let worker = town.work(&["--slots", "1"], &[]);
    let running = town.add(ANN, &["--", "sleep", "600"]);
    town.until_state(&running, "running");
    let waits = town.add(BOB, &["--", "true"]);
    // Root is told which process that is, and what to do about it.
    let pid = worker.pid().to_string();
    assert!(town.nest.ok(&["why", &waits]).contains(&pid));
    let why = town.ok(BOB, &["why", &waits]);
    assert!(
        why.contains("all slots of the system worker are busy") && !why.contains(&pid) && !why.contains("tenure slots"),
        "{why}"
    );
    town.ok(ANN, &["cancel", &running]);
    town.until_state(&waits, "done");
}

#[test]
fn a_label_a_queue_and_last_mean_the_jobs_of_the_user() {
    if !can_be_several("selectors of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[("PEOPLE_GROUP", OPERATORS)]);
    let ann = town.add(ANN, &["--hold", "-l", "same", "--", "true"]);
    let bob = town.add(BOB, &["--hold", "-l", "same", "--", "true"]);
    let root = town.nest.ok(&["add", "--hold", "-l", "same", "--", "true"]);
    assert_eq!(town.say(OPERATOR, &["cancel", "@same"]).code, 3, "also of an operator");
    assert_eq!(town.say(OPERATOR, &["cancel", "last"]).code, 3);
    town.ok(ANN, &["cancel", "@same"]);

    assert_eq!(
        [&ann, &bob, &root].map(|id| town.job(id)["state"].as_str().unwrap().to_owned()),
        ["cancelled", "queued", "queued"]
    );
    town.ok(BOB, &["cancel", "-q", "default"]);
    assert_eq!([&bob, &root].map(|id| town.job(id)["state"].as_str().unwrap().to_owned()), ["cancelled", "queued"]);
    let range = town.say(BOB, &["hold", &format!("{ann}-{root}")]);
    assert!(range.code == 6 && town.job(&root)["state"] == "queued", "{range:?}");
}

#[test]
fn the_same_unique_key_of_two_users_is_two_keys() {
    if !can_be_several("keys of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let add = |user: &str, more: &[&str]| town.add(user, &[&["--hold", "--unique", "k"], more, &["--", "true"]].concat());
    let (ann, bob) = (add(ANN, &[]), add(BOB, &[]));
    let root = town.nest.ok(&["add", "--hold", "--unique", "k", "--", "true"]);
    assert!(ann != bob && bob != root);
    assert_eq!(add(ANN, &[]), ann);
    let newer = add(BOB, &["--replace"]);
    let states = [&ann, &bob, &newer, &root].map(|id| town.job(id)["state"].as_str().unwrap().to_owned());
    assert_eq!(states, ["queued", "cancelled", "queued", "queued"]);
}

#[test]
fn other_verbs_and_options_are_refused_by_name() {
    if !can_be_several("verbs of users") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let id = town.add(ANN, &["--hold", "--", "true"]);
    for line in [
        "work",
        "set ID priority=1",
        "edit ID",
        "run -- true",
        "rerun ID",
        "queue ls",
        "slots 9",
        "lane ls",
        "prune --older-than 1d",
        "backup /tmp/x",
        "restore /tmp/x",
        "doctor",
        "schedule ls",
        "pipeline ls",
        "task ls",
        "resource ls",
        "workspace ls",
        "lease ls",
        "seen",
        "progress 4",
        "fence -- true",
    ] {
        let line = line.replace("ID", &id);
        let said = town.say(ANN, &line.split(' ').collect::<Vec<_>>());
        assert!(said.code == 2 && said.err.contains("only add, ls, status"), "{line}: {said:?}");
    }
    let cases: [(&str, i32, &str); 18] = [
        ("--user root", 6, "--user"),
        ("--lane l", 6, "--lane"),
        ("-q other", 6, "--queue"),
        ("--priority 1", 6, "--priority"),
        ("--slots 2", 6, "--slots"),
        ("--nice -5", 6, "--nice"),
        ("--workspace w", 6, "--workspace"),
        ("--check true", 6, "--check"),
        ("--on-end true", 6, "--on-end"),
        ("--stdin /etc/shadow", 6, "--stdin"),
        ("--stdin -", 6, "--stdin"),
        ("--secret HOME", 6, "--secret"),
        ("-r 100", 6, "--retries"),
        ("--log-limit 1T", 6, "--log-limit"),
        ("--grace 1h", 6, "--grace"),
        ("--array 0-3%2", 6, "--lane"),
        ("--from /etc/passwd", 2, "--from"),
        ("--like 1", 2, "--like"),
    ];
    for (options, code, words) in cases {
        let mut args: Vec<&str> = ["add"].into_iter().chain(options.split(' ')).collect();
        if !options.starts_with("--from") {
            args.extend(["--", "true"]);
        }
        let said = town.say(ANN, &args);
        assert!(said.code == code && said.err.contains(words), "{options}: {said:?}");
    }
    let count: i64 = town.nest.sql().query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1, "nothing was added");
    let db = town.say(ANN, &["--db", "/tmp/x.db", "ls"]);
    assert!(db.code == 2 && db.err.contains("contradict"), "{db:?}");
}
