//! Jobs a second.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::ROUNDS;
use crate::nest::Nest;
use crate::numbers::median;

/// No-op jobs end to end at 2 slots, durable and guarded, against `xargs -P2 -n1 /bin/true`.
pub fn throughput() {
    const JOBS: usize = 2_000;
    let (mut work, mut whole, mut absolute, mut xargs_absolute) = (vec![], vec![], vec![], vec![]);
    // Kept to the end: a file system may be slow for a while in making files where many were removed.
    let mut nests = vec![];
    for _ in 0..ROUNDS {
        let nest = Nest::new();
        let from = nest.lines("jobs", JOBS, |_| r#"{"command": ["/bin/true"], "cwd": "/"}"#.into());
        let begun = Instant::now();
        nest.ok(&["add", "--from", from.to_str().expect("utf-8")]);
        let added = begun.elapsed().as_secs_f64();
        nest.ok(&["work", "--until-idle", "--slots", "2"]);
        let total = begun.elapsed().as_secs_f64();
        let counts: serde_json::Value = serde_json::from_str(&nest.ok(&["status", "--json"])).expect("JSON");
        assert_eq!(counts["counts"]["done"].as_u64(), Some(JOBS as u64), "all are done");
        let xargs = xargs(JOBS);
        whole.push(xargs / total);
        work.push(xargs / (total - added));
        absolute.push(JOBS as f64 / total);
        nests.push(nest);
        xargs_absolute.push(JOBS as f64 / xargs);
    }
    println!(
        "throughput: {JOBS} no-op jobs at 2 slots, add included: {:.0}/s, xargs -P2 {:.0}/s; ratio {:.2} with the add, {:.2} of the work alone",
        median(absolute),
        median(xargs_absolute),
        median(whole),
        median(work)
    );
}

fn xargs(n: usize) -> f64 {
    let begun = Instant::now();
    let mut child = Command::new("xargs").args(["-P2", "-n1", "/bin/true"]).stdin(Stdio::piped()).spawn().expect("xargs");
    let mut stdin = child.stdin.take().expect("piped");
    for i in 0..n {
        writeln!(stdin, "{i}").expect("written");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    begun.elapsed().as_secs_f64()
}
