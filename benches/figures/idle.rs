//! What a worker costs that has nothing to do.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fill::old;
use crate::plan::Plan;
use crate::processes::{comm, cpu_ms, family, rss_kb, sleeps};
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Before it counts as idle, in seconds: a start looks at everything once.
const REST_S: u64 = 15;

/// Memory, wake-ups and CPU of an idle worker and its spawner, on a file with a long history.
pub fn idle(plan: &Plan) -> Found {
    let seconds = plan.of(5, 60, 180);
    let (nest, ended) = old(plan);
    // What is ready in it must not start.
    nest.ok(&["queue", "pause", "default"]);
    let working = nest.work(&[]);
    std::thread::sleep(Duration::from_secs(plan.of(2, REST_S, REST_S)));
    let pids = family(working.pid());
    let threads = || pids.iter().flat_map(|pid| sleeps(*pid)).map(|(id, name, n)| (id, (name, n))).collect::<BTreeMap<_, _>>();
    let cpu = || pids.iter().map(|pid| cpu_ms(*pid)).sum::<f64>();
    let (before, cpu_before) = (threads(), cpu());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, used) = (threads(), cpu() - cpu_before);
    let per_minute = |n: u64| n as f64 * 60.0 / seconds as f64;
    let new = |id: &u32, n: u64| n - before.get(id).map_or(0, |(_, n)| *n);
    let woken: Vec<(&str, u64)> =
        after.iter().map(|(id, (name, n))| (name.as_str(), new(id, *n))).filter(|(_, n)| *n > 0).collect();
    let by_thread: Vec<String> = woken.iter().map(|(name, n)| format!("{name} {:.0}", per_minute(*n))).collect();
    let busiest = woken.iter().map(|(_, n)| per_minute(*n)).fold(0.0, f64::max);
    let rss = pids.iter().map(|pid| rss_kb(*pid)).sum::<u64>() as f64 * 1024.0 / 1e6;
    let each: Vec<String> =
        pids.iter().map(|pid| format!("{} {:.1} MB", comm(*pid).trim(), rss_kb(*pid) as f64 * 1024.0 / 1e6)).collect();
    drop(working);
    nest.ok(&["queue", "resume", "default"]);
    let rows = thousands(ended as i64);
    Found::rows(vec![
        Row::alone("idle worker, memory", rss, Unit::Megabytes)
            .bar(Bar::AtMost(10.0))
            .headline()
            .how(format!("RSS of both ({}), on a file of {rows} ended jobs", each.join(", "))),
        Row::alone("idle worker, wake-ups of a thread", busiest, Unit::PerMinute).bar(Bar::AtMost(6.0)).how(format!(
            "voluntary context switches of the thread with the most in {seconds} s, as wake-ups a minute; all threads: {}",
            by_thread.join(", ")
        )),
        Row::alone("idle worker, CPU", used / seconds as f64, Unit::Milliseconds)
            .how("CPU time of both in each second, in milliseconds; 10 are 1 % of one CPU"),
    ])
}
