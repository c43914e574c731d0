//! What a worker costs that has nothing to do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::fill::old;
use crate::plan::Plan;
use crate::processes::{comm, cpu_ms, family, rollup_kb, rss_kb, sleeps};
use crate::row::{Bar, Found, Row, Unit, thousands};

/// Before it counts as idle, in seconds: a start looks at everything once, and at the file each
/// second for a while.
const REST_S: u64 = 30;
/// What a thread does within such a part is one wake-up, although it also sleeps while it waits for
/// a lock.
const PART: Duration = Duration::from_millis(500);

/// Memory, wake-ups and CPU of an idle worker and its spawner, on a file with a long history.
pub fn idle(plan: &Plan) -> Found {
    let seconds = plan.of(5, 60, 180);
    let (nest, ended) = old(plan);
    // What is ready in it must not start.
    nest.ok(&["queue", "pause", "default"]);
    let working = nest.work(&[]);
    std::thread::sleep(Duration::from_secs(plan.of(2, REST_S, REST_S)));
    let pids = family(working.pid());
    let cpu = || pids.iter().map(|pid| cpu_ms(*pid)).sum::<f64>();
    let cpu_before = cpu();
    let woken = wakes(&pids, Duration::from_secs(seconds));
    let used = cpu() - cpu_before;
    let per_minute = |n: u64| n as f64 * 60.0 / seconds as f64;
    let woken: Vec<(&str, u64)> = woken.values().map(|(name, n)| (name.as_str(), *n)).filter(|(_, n)| *n > 0).collect();
    let by_thread: Vec<String> = woken.iter().map(|(name, n)| format!("{name} {:.0}", per_minute(*n))).collect();
    let busiest = woken.iter().map(|(_, n)| per_minute(*n)).fold(0.0, f64::max);
    let rss = pids.iter().map(|pid| rss_kb(*pid)).sum::<u64>() as f64 * 1024.0 / 1e6;
    let each: Vec<String> =
        pids.iter().map(|pid| format!("{} {:.1} MB", comm(*pid).trim(), rss_kb(*pid) as f64 * 1024.0 / 1e6)).collect();
    let own = |pid: &u32| rollup_kb(*pid, "Private_Dirty:").unwrap_or_default();
    let private = pids.iter().map(own).sum::<u64>() as f64 * 1024.0 / 1e6;
    drop(working);
    nest.ok(&["queue", "resume", "default"]);
    let rows = thousands(ended as i64);
    Found::rows(vec![
        Row::alone("idle worker, memory", rss, Unit::Megabytes)
            .bar(Bar::AtMost(10.0))
            .headline()
            .how(format!("RSS of both ({}), on a file of {rows} ended jobs", each.join(", "))),
        Row::alone("the same, without files", private, Unit::Megabytes).how(
            "private and dirty pages of both; the rest of the row above are pages of the program, of libc and of the \
             file, which other processes share and which the kernel takes back when it needs them",
        ),
        Row::alone("idle worker, wake-ups of a thread", busiest, Unit::PerMinute).bar(Bar::AtMost(6.0)).how(format!(
            "the thread with the most, in {seconds} s: how many parts of {} ms it was awake in, as wake-ups a minute; all \
             threads: {}",
            PART.as_millis(),
            by_thread.join(", ")
        )),
        Row::alone("idle worker, CPU", used / seconds as f64, Unit::Milliseconds)
            .how("CPU time of both in each second, in milliseconds; 10 are 1 % of one CPU"),
    ])
}

/// In how many parts of that time each thread was awake, by its id and with its name.
fn wakes(pids: &[u32], time: Duration) -> BTreeMap<u32, (String, u64)> {
    let mut all = BTreeMap::new();
    let mut before = BTreeMap::new();
    let begun = Instant::now();
    loop {
        for (id, name, sleeps) in pids.iter().flat_map(|pid| sleeps(*pid)) {
            let was_awake = before.insert(id, sleeps).is_some_and(|before| before != sleeps);
            all.entry(id).or_insert((name, 0)).1 += u64::from(was_awake);
        }
        if begun.elapsed() >= time {
            return all;
        }
        std::thread::sleep(PART);
    }
}
