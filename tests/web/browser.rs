//! The pages in a browser: what a person sees and does, without a mouse too, and whether those who see little can.

use std::time::Duration;

use serde_json::Value;

use crate::support::browser::{self, Browser};
use crate::support::untested::left_out;
use crate::support::{Nest, Web, Worker, until, within};

/// A file whose jobs are hostile, its worker, its server, and a browser that has logged in.
fn opened(nest: &Nest) -> (Worker, Web, Browser, i64) {
    let evil = "<script>window.harmed=1</script><img src=x onerror='window.harmed=1'>\u{202e}";
    nest.ok(&["add", "-l", evil, "--", "sh", "-c", "printf '\\033[31m%s\\n' \"$0\"; exit 3", evil]);
    nest.ok(&["schedule", "add", "nightly", "30 3 * * *", "--tz", "UTC", "--", "true"]);
    nest.ok(&["pool", "set", "gpu", "--limit", "2"]);
    std::fs::write(nest.file("p.toml"), "[pipeline.ship]\nstart = \"a\"\n[pipeline.ship.stage.a]\ncommand = [\"true\"]\n")
        .expect("it is ours");
    nest.ok(&["pipeline", "apply", "p.toml"]);
    nest.ok(&["task", "start", "ship"]);
    nest.work_until_idle(&[]);
    let worker = nest.work(&["--slots", "4"]);
    let running = nest.sh(&["-l", "talks"], "echo begun; until test -e go; do sleep 0.05; done; echo ended; exit 0");
    nest.until_pid(running);
    nest.ok(&["resource", "add", "vm", "--teardown", "exit 1", "--job", &running.to_string()]);
    let web = nest.web(&[]);
    let browser = Browser::start(nest);
    browser.log_in(&web);
    (worker, web, browser, running)
}

/// Whether the tests of this file can run here.
fn can_run(what: &str) -> bool {
    if !browser::is_there() {
        left_out(what, "Chromium and its driver");
    }
    browser::is_there()
}

#[test]
fn a_person_works_with_the_pages() {
    if !can_run("the pages in a browser") {
        return;
    }
    let nest = Nest::new();
    let (worker, web, browser, running) = opened(&nest);
    nest.ok(&["queue", "pause", "mail"]);
    let waits = nest.add(&["-q", "mail", "--", "true"]);
    // The page shows it without being asked again, and has a button for its remedy.
    browser.until_shown("queue \"mail\" is paused");
    browser.press("form[action='/queues/mail/resume'] button");
    browser.until_shown("Resumed.");
    until("the job of the queue to end", || (nest.state(waits) == "done").then_some(()));
    // A job by the form, then what it says, while it says it.
    browser.open(&web, "/add");
    browser.write("#command", "echo from a page; until test -e \"$0/go\"; do sleep 0.05; done");
    browser.write("#label", "typed");
    browser.write("#cwd", &nest.path().display().to_string());
    browser.press("form.add button");
    browser.until_shown("from a page");
    browser.open(&web, &format!("/jobs/{running}"));
    browser.until_shown("begun");
    browser.press(&format!("form[action='/jobs/{running}/suspend'] button"));
    browser.until_shown("suspended");
    browser.press(&format!("form[action='/jobs/{running}/resume'] button"));
    browser.until_shown("Resumed.");
    browser.run("window.same = true");
    std::fs::write(nest.file("go"), "").expect("it is ours");
    browser.until_shown("ended");
    let state = || browser.run("return document.querySelector('.head .badge').textContent");
    // Within two seconds, says the page about it; this machine may be busy.
    assert!(within(Duration::from_secs(10), || (state() == "done").then_some(())).is_some(), "it has not followed: {}", state());
    assert_eq!(browser.run("return window.same"), true, "the page was not loaded again");
    // What cannot be undone is asked first.
    let held = nest.add(&["--hold", "--", "true"]);
    browser.open(&web, &format!("/jobs/{held}"));
    let cancel = format!("form[action='/jobs/{held}/cancel'] button");
    browser.press(&cancel);
    assert!(browser.answer(false).contains("Cancel this job?"));
    assert_eq!(nest.state(held), "queued");
    browser.press(&cancel);
    browser.answer(true);
    browser.until_shown("Cancel requested.");
    assert_eq!(nest.state(held), "cancelled");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop((browser, worker));
}

#[test]
fn a_log_is_followed_from_before_its_job_starts() {
    if !can_run("a log that is followed") {
        return;
    }
    let nest = Nest::new();
    let (worker, web, browser, _) = opened(&nest);
    // It ends with half a line, as a progress does.
    let line = "printf 'half\\r'; until test -e go2; do sleep 0.05; done; printf 'whole\\n'";
    let id = nest.sh(&["--hold"], line);
    browser.open(&web, &format!("/jobs/{id}"));
    browser.until_shown("It has written nothing");
    nest.ok(&["release", &id.to_string()]);
    browser.until_shown("half");
    let asked = || {
        let script = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/log/part')).length";
        browser.run(script).as_u64().expect("a number")
    };
    let before = asked();
    until("the log to be asked for again", || (asked() > before + 1).then_some(()));
    assert!(asked() < before + 10, "it is asked for without a rest");
    std::fs::write(nest.file("go2"), "").expect("it is ours");
    browser.until_shown("whole");
    assert!(!browser.text().contains("It has written nothing"));
    drop((browser, worker));
}

#[test]
fn keys_alone_are_enough() {
    if !can_run("the pages by keys") {
        return;
    }
    let nest = Nest::new();
    let (worker, web, browser, _) = opened(&nest);
    let focus = || {
        browser.run("return document.activeElement.id || document.activeElement.textContent").as_str().unwrap_or("").to_owned()
    };
    browser.open(&web, "/jobs");
    browser.keys("\u{e004}");
    assert_eq!(focus(), "Skip to the page");
    browser.keys("/");
    assert_eq!(focus(), "search");
    browser.keys("window\u{e007}");
    until("the search", || browser.path(&web).contains("search=window").then_some(()));
    browser.run("document.activeElement.blur()");
    browser.keys("j");
    assert_eq!(focus(), "1");
    browser.keys("\u{e007}");
    until("the job", || (browser.path(&web) == "/jobs/1").then_some(()));
    // Enter in a chosen row presses no button of those below.
    let held = nest.add(&["--hold", "--", "true"]);
    browser.open(&web, "/jobs");
    let chosen = format!("document.querySelector('input[name=id][value=\"{held}\"]')");
    browser.run(&format!("{chosen}.click(); {chosen}.focus()"));
    browser.keys("\u{e007}");
    browser.until_shown("Nothing has changed");
    assert_eq!(nest.show(held)["hold"], "user");
    assert_eq!(browser.run("return window.harmed === undefined"), true);
    drop((browser, worker));
}

/// Returns the checker of accessibility, where it is installed.
fn axe() -> Option<String> {
    let path = std::env::var_os("TENURE_AXE")
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe/node_modules/axe-core/axe.min.js").into());
    std::fs::read_to_string(path).ok()
}

const RUN_AXE: &str = "const done = arguments[arguments.length - 1];
    axe.run().then((found) => done(found.violations.map((one) => [one.impact, one.id, one.nodes.map((node) => node.html)])));";

#[test]
fn those_who_see_little_can_use_each_page() {
    let axe = axe();
    if axe.is_none() {
        left_out("the accessibility of the pages", "axe-core from npm");
    }
    let (Some(axe), true) = (axe, can_run("the pages in light, dark, wide and narrow")) else { return };
    let nest = Nest::new();
    let (worker, web, browser, running) = opened(&nest);
    let pictures = std::env::var_os("TENURE_PICTURES");
    let one = [format!("/jobs/{running}"), format!("/jobs/{running}/log")];
    let fixed = [
        "/",
        "/jobs",
        "/jobs/1",
        "/jobs/999",
        "/timeline",
        "/tasks",
        "/tasks/1",
        "/schedules",
        "/owned",
        "/machine",
        "/add",
        "/login",
    ];
    for path in fixed.iter().copied().chain(one.iter().map(String::as_str)) {
        for (width, height, is_dark) in [(1280, 900, false), (1280, 900, true), (390, 844, false), (390, 844, true)] {
            browser.look(width, height, is_dark);
            browser.open(&web, path);
            let how = format!("{path} at {width}, dark {is_dark}");
            let wider = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wider, 0, "{how} is wider than the window");
            browser.run(&axe);
            let found = browser.run_later(RUN_AXE);
            assert_eq!(found, Value::Array(Vec::new()), "{how}");
            assert_eq!(browser.run("return window.harmed === undefined"), true, "{how}");
            if let Some(dir) = &pictures {
                let name = format!(
                    "{}-{width}-{}.png.base64",
                    path.trim_matches('/').replace('/', "-"),
                    if is_dark { "dark" } else { "light" }
                );
                std::fs::write(std::path::Path::new(dir).join(name), browser.picture()).expect("the directory is there");
            }
        }
    }
    // A page that is not there is the only thing that the browser complains of.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("/jobs/999")), "{complaints:?}");
    // The checker finds what is wrong.
    browser.run("const image = document.createElement('img'); image.src = '/files/icon.svg'; document.body.append(image)");
    browser.run(&axe);
    assert!(browser.run_later(RUN_AXE).to_string().contains("image-alt"));
    drop((browser, worker));
}
