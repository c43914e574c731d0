//! The forms of the pages: what each does, also sent twice, late, or to another file.

use serde_json::Value;

use super::pages::{furnished, page, send};
use crate::support::{Nest, until};

/// The state of a job, and what holds it.
fn state(nest: &Nest, id: i64) -> (String, Value) {
    let job = nest.show(id);
    (job["state"].as_str().expect("a state").to_owned(), job["hold"].clone())
}

#[test]
fn each_form_does_what_it_says_and_leads_back() {
    let (nest, worker, web, running) = furnished();
    let act = |path: &str, form: &str, to: &str| {
        let got = send(&web, path, form);
        assert_eq!((got.status, got.header("location")), (303, Some(to)), "{path}: {}", got.text());
        let page = page(&web, to);
        assert!(page.status == 200 && page.text().contains("role=\"status\""), "{to}: {}", page.text());
    };
    let held = nest.add(&["-d", "1h", "--", "true"]);
    act(&format!("/jobs/{held}/hold"), &format!("back=%2Fjobs%2F{held}"), &format!("/jobs/{held}?done=hold"));
    assert_eq!(state(&nest, held).1, "user");
    act(&format!("/jobs/{held}/hold"), "back=%2Fjobs", "/jobs?done=nothing");
    act(&format!("/jobs/{held}/release"), "back=%2Fjobs%3Fstate%3Dqueued", "/jobs?state=queued&done=release");
    assert_eq!(state(&nest, held).1, "time");
    act(&format!("/jobs/{held}/cancel"), "", "/?done=cancel");
    assert_eq!(state(&nest, held).0, "cancelled");
    act(&format!("/jobs/{running}/suspend"), "", "/?done=suspend");
    until("the job to be suspended", || (nest.show(running)["suspension"]["state"] == "suspended").then_some(()));
    act(&format!("/jobs/{running}/resume"), "", "/?done=resume");
    act("/queues/default/pause", "", "/?done=pause");
    assert!(nest.ok(&["queue", "ls"]).contains("paused"));
    act("/queues/default/resume", "", "/?done=resume");
    assert!(!nest.ok(&["queue", "ls"]).contains("paused"));
    act("/pause", "back=%2Fmachine", "/machine?done=pause");
    assert!(nest.status()["all_paused_at"].is_string());
    let back = send(&web, "/jobs/2/rerun", "");
    let again = back.header("location").and_then(|to| to.strip_prefix("/jobs/")?.strip_suffix("?done=rerun")?.parse().ok());
    assert_eq!(state(&nest, again.expect("a job")).0, "queued");
    act("/jobs/selected", &format!("verb=cancel&id={}&id=1", again.expect("a job")), "/?done=some");
    assert_eq!(state(&nest, again.expect("a job")).0, "cancelled", "the other one had ended and kept it from nothing");
    assert_eq!(send(&web, "/jobs/selected", "verb=cancel&id=1").status, 409);
    act("/jobs/selected", "verb=cancel", "/?done=nothing");
    act("/jobs/selected", "verb=nothing&id=1", "/?done=nothing");
    act("/jobs/1/retry", "", "/?done=retry");
    assert_eq!(state(&nest, 1).0, "queued");
    act("/schedules/nightly/pause", "back=%2Fschedules", "/schedules?done=pause");
    act("/schedules/nightly/resume", "back=%2Fschedules", "/schedules?done=resume");
    act("/schedules/nightly/run", "back=%2Fschedules", "/schedules?done=run");
    act("/resume", "", "/?done=resume");
    assert!(nest.status()["all_paused_at"].is_null());
    act("/resources/1/release", "back=%2Fowned", "/owned?done=teardown");
    act("/resources/1/gone", "back=%2Fowned", "/owned?done=gone");
    assert_eq!(nest.json(&["resource", "show", "1", "--json"])["state"], "released");
    act("/resources/sweep", "", "/?done=sweep");
    drop(worker);
}

#[test]
fn a_form_that_is_sent_twice_adds_one_job() {
    let (nest, worker, web, _) = furnished();
    let text = page(&web, "/add").text();
    let key = text.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key").to_owned();
    let form =
        format!("key={key}&command=echo+%27a+b%27%0D%0Aexit+0&label=from+a+page&priority=5&retries=1&hold=true&queue=&memory=");
    let first = send(&web, "/add", &form);
    assert_eq!(first.status, 303, "{}", first.text());
    assert_eq!(send(&web, "/add", &form).header("location"), first.header("location"));
    let unique = |n: u32| send(&web, "/add", &format!("key=k{n}&command=true&hold=true&unique=u"));
    let known = unique(1).header("location").map(|to| to.replace("done=add", "done=known"));
    assert_eq!(unique(2).header("location").map(str::to_owned), known);
    let other = send(&web, "/add", &form.replace("from+a+page", "another"));
    assert!(
        other.status == 409 && other.text().contains("press the button again") && !other.text().contains(&key),
        "{}",
        other.text()
    );
    let jobs = nest.json(&["ls", "--all", "--label", "from a page", "--json"]);
    let job = &jobs["jobs"][0];
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(job["command"], serde_json::json!(["sh", "-c", "echo 'a b'\nexit 0"]));
    assert_eq!((&job["priority"], &job["max_attempts"], &job["hold"]), (&5.into(), &2.into(), &"user".into()));
    for (form, told) in [
        ("command=", "there is no command"),
        ("command=true&priority=high", "priority: it is not a whole number"),
        ("command=true&timeout=soon", "not a duration"),
        ("command=true&cwd=here", "cwd: it is relative"),
        ("command=true&colour=red", "colour"),
        ("command=true&array=0-9", "is not a field of this form"),
        ("command=true&label=a&label=b", "label: it is given twice"),
        ("", "there is no command"),
    ] {
        let got = send(&web, "/add", form);
        assert!(got.status == 400 && got.text().contains(told), "{form}: {} {}", got.status, got.text());
    }
    // What was written is there again, as text, with the key that it was sent with.
    let wrong = "key=k9&command=echo+%3C%2Ftextarea%3E&label=%22%3E%3Cb%3E&priority=high&hold=true";
    let text = send(&web, "/add", wrong).text();
    for part in
        ["value=\"k9\"", "echo &lt;/textarea&gt;</textarea>", "value=\"&quot;&gt;&lt;b&gt;\"", "value=\"high\"", " checked"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(send(&web, "/add", &wrong.replace("high", "1")).status, 303);
    drop(worker);
}

#[test]
fn selected_jobs_are_retried_in_the_order_in_which_they_wait() {
    let nest = Nest::new();
    let parent = nest.sh(&[], "test -e repaired");
    let child = nest.sh(&["--after", &parent.to_string()], "true");
    nest.work_until_idle(&[]);
    let web = nest.web(&[]);
    // As the list has them: the newest first.
    let got = send(&web, "/jobs/selected", &format!("verb=retry&id={child}&id={parent}"));
    assert_eq!(got.header("location"), Some("/?done=several"), "{}", got.text());
    std::fs::write(nest.file("repaired"), "").expect("it is ours");
    nest.work_until_idle(&[]);
    assert_eq!((nest.state(parent), nest.state(child)), ("done".into(), "done".into()));
    assert_eq!(send(&web, "/jobs/selected", "verb=hold&id=x").status, 400);
}

#[test]
fn a_page_of_another_file_changes_no_job_of_this_one() {
    let nest = Nest::new();
    let id = nest.add(&["--hold", "--", "true"]);
    let web = nest.web(&[]);
    let text = page(&web, &format!("/jobs/{id}")).text();
    let of = |text: &str| {
        let field = text.split("name=\"file\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        field.expect("the file of the form").to_owned()
    };
    let before = of(&text);
    for name in ["", "-wal", "-shm", ".d"] {
        let _none = std::fs::rename(nest.file(&format!("q.db{name}")), nest.file(&format!("old.db{name}")));
    }
    assert_eq!(nest.add(&["--hold", "--", "true"]), id);
    for (path, more) in [(format!("/jobs/{id}/cancel"), ""), ("/jobs/selected".into(), "&verb=cancel&id=1")] {
        let got = send(&web, &path, &format!("file={before}{more}"));
        assert!(got.status == 409 && got.text().contains("open it again"), "{path}: {} {}", got.status, got.text());
    }
    assert_eq!(nest.state(id), "queued");
    let now = of(&page(&web, &format!("/jobs/{id}")).text());
    assert_eq!(send(&web, &format!("/jobs/{id}/cancel"), &format!("file={now}")).status, 303);
    assert_eq!(nest.state(id), "cancelled");
}
