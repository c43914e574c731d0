//! The memory of many jobs.

use std::time::{Duration, Instant};

use crate::nest::Nest;
use crate::plan::Plan;
use crate::plot::{Axis, Plot, Series};
use crate::processes::{comm, family, pss_kb};
use crate::row::{Bar, Found, Row, Unit};

/// Sleeping jobs of the row of the table.
const JOBS: usize = 300;
/// Before memory is measured: a start gives pages back only after some time, and no event tells.
const REST_S: u64 = 5;

/// Sleeping jobs: memory of worker, spawner and shims together, and the time to start and to cancel
/// them all.
pub fn memory(plan: &Plan) -> Found {
    let (mut points, mut rows) = (vec![], vec![]);
    for jobs in [1, 10, 50, 100, JOBS, 1_000].into_iter().take(plan.of(2, 5, 6)) {
        let nest = Nest::new();
        let working = nest.work(&["--slots", &jobs.to_string()]);
        let from = nest.lines("jobs", jobs, |_| r#"{"command": ["/bin/sleep", "3600"], "cwd": "/"}"#.into());
        let begun = Instant::now();
        nest.ok(&["add", "--from", from.to_str().expect("utf-8")]);
        nest.wait_for("running", jobs as u64);
        let started = begun.elapsed().as_secs_f64();
        std::thread::sleep(Duration::from_secs(REST_S));
        let ours: Vec<u32> = family(working.pid()).into_iter().filter(|pid| comm(*pid).starts_with("tenure")).collect();
        let bytes = ours.iter().filter_map(|pid| pss_kb(*pid)).sum::<u64>() as f64 * 1024.0;
        points.push((jobs as f64, bytes / 1e6));
        let begun = Instant::now();
        nest.ok(&["cancel", "--state", "running"]);
        nest.wait_for("cancelled", jobs as u64);
        if jobs == JOBS {
            let how = format!(
                "PSS of the {} processes of tenure (worker, spawner, shims; not the jobs) by {JOBS}: {:.1} MB \
                 together; all were started in {started:.1} s and cancelled in {:.1} s",
                ours.len(),
                bytes / 1e6,
                begun.elapsed().as_secs_f64()
            );
            let row = Row::alone(&format!("memory of each of {JOBS} jobs"), bytes / 1e6 / JOBS as f64, Unit::Megabytes);
            rows.push(row.bar(Bar::AtMost(0.08)).headline().how(how));
        }
    }
    let plot = Plot {
        file: "memory",
        title: "memory of worker, spawner and shims against running jobs".into(),
        how: "The row of the table divides all of it by the jobs; what one more job takes is the slope.".into(),
        x: Axis { label: "running jobs".into(), log: false },
        y: Axis { label: "MB (PSS, all of tenure)".into(), log: false },
        series: vec![Series { name: "sleeping jobs".into(), points }],
    };
    Found { rows, plots: vec![plot], ..Found::default() }
}
