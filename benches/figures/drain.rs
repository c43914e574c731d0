//! No-op jobs through a worker: how many a second, and what each costs.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cage;
use crate::nest::Nest;
use crate::plan::Plan;
use crate::processes::cpu_with_children_ms;
use crate::row::{Bar, Found, Row, Unit};

/// `work --until-idle --slots 2` on queued no-op jobs against `xargs -P2 -n1 /bin/true`, and the CPU
/// of each job against a bare spawn and wait.
pub fn drain(plan: &Plan) -> Found {
    let jobs = plan.of(300, 3_000, 5_000);
    let (mut alone, mut with_add, mut cpu, mut nests) = (vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds() {
        let nest = Nest::new();
        let begun = Instant::now();
        nest.add_no_ops(jobs);
        let added = begun.elapsed().as_secs_f64();
        let before = cpu_us();
        nest.ok(&["work", "--until-idle", "--slots", "2"]);
        let whole = begun.elapsed().as_secs_f64();
        // What of it has been reparented to this process is counted when it is reaped.
        cage::expect_no_children("drain");
        let each = (cpu_us() - before) / jobs as f64;
        assert_eq!(nest.wait_for("done", jobs as u64), jobs as u64, "all are done");
        let xargs = jobs as f64 / xargs(jobs, 2);
        alone.push((jobs as f64 / (whole - added), xargs));
        with_add.push((jobs as f64 / whole, xargs));
        cpu.push((each, bare_cpu_us(jobs)));
        nests.push(nest);
    }
    let row = |what, pairs: &[(f64, f64)]| Row::against(what, Unit::PerSecond, "xargs -P2 -n1", pairs);
    Found::rows(vec![
        row("no-op jobs, 2 slots", &alone).bar(Bar::AtLeast(0.8)).headline().how(format!(
            "`work --until-idle --slots 2` from its start to its end, {jobs} jobs of `/bin/true` in \
             the queue; durable, all guards on; against `xargs -P2 -n1 /bin/true`"
        )),
        row("the same with add --from", &with_add).how("as above, with the time of `add --from` that queued them"),
        Row::against("CPU of a no-op job", Unit::Microseconds, "spawn + wait", &cpu).bar(Bar::AtMost(2.0)).headline().how(
            "user and system time of worker, spawner, shims and jobs together; against a loop that spawns \
             `/bin/true` (`posix_spawn`) and waits for it, that loop included",
        ),
    ])
}

/// CPU time of this process and of all that it has reaped, in microseconds.
fn cpu_us() -> f64 {
    cpu_with_children_ms(std::process::id()) * 1_000.0
}

/// CPU of one `/bin/true` with the loop that starts it.
fn bare_cpu_us(n: usize) -> f64 {
    let before = cpu_us();
    for _ in 0..n {
        assert!(Command::new("/bin/true").status().expect("it runs").success());
    }
    (cpu_us() - before) / n as f64
}

/// Seconds that `xargs` takes for so many `/bin/true`.
pub fn xargs(n: usize, at_once: usize) -> f64 {
    let begun = Instant::now();
    let args = [&format!("-P{at_once}"), "-n1", "/bin/true"];
    let mut child = Command::new("xargs").args(args).stdin(Stdio::piped()).spawn().expect("xargs");
    let mut stdin = child.stdin.take().expect("piped");
    for i in 0..n {
        writeln!(stdin, "{i}").expect("written");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    begun.elapsed().as_secs_f64()
}
