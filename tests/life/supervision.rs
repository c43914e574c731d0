//! A run is supervised in the same way no matter how it was launched: every way to end one, for a run that its worker launched, for one that was
//! adopted, and for one that was adopted twice.

use serde_json::{Value, json};
use tenure::run::{Kept, Record, Started};

use crate::support::frozen::Frozen;
use crate::support::{Nest, Signal, Worker, kill, lives, until};

/// Records each TERM, continues, and has a descendant in a session of its own. Ends with 0 when the file `go` is there.
const STUBBORN: &str = "trap 'echo term >>term.$TENURE_JOB' TERM; setsid sleep 600 </dev/null >/dev/null 2>&1 & echo begin; \
                        while [ ! -e go ]; do sleep 0.1; done; exit 0";

/// Makes the enum, and the list of all its names.
macro_rules! ways {
    ($($way:ident,)+) => {
        /// How a run comes to its end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Way {
            $($way,)+
        }

        const WAYS: &[Way] = &[$(Way::$way),+];
    };
}

ways! {
    Cancel,
    SqlCancel,
    TaskStop,
    Timeout,
    IdleTimeout,
    MaxRuntime,
    MaxRuntimeSetLater,
    EndsByItself,
    ShimKilled,
    SpawnerKilled,
    ShimStoppedThenCancel,
    ShimStoppedPastTimeout,
    ShimStoppedPastIdleTimeout,
    ShimStoppedPastMaxRuntime,
    ShimStoppedAndEndsByItself,
}

use Way::*;

impl Way {
    fn options(self) -> &'static [&'static str] {
        match self {
            Timeout | ShimStoppedPastTimeout => &["--timeout", "6s"],
            IdleTimeout | ShimStoppedPastIdleTimeout => &["--idle-timeout", "6s"],
            MaxRuntime | ShimStoppedPastMaxRuntime => &["--queue", "short"],
            MaxRuntimeSetLater => &["--queue", "later"],
            _ => &[],
        }
    }

    /// State, reason, and whether TERM comes first.
    fn end(self) -> (&'static str, &'static str, bool) {
        match self {
            Cancel | SqlCancel | TaskStop | ShimStoppedThenCancel => ("cancelled", "cancelled", true),
            IdleTimeout | ShimStoppedPastIdleTimeout => ("failed", "output", true),
            Timeout | MaxRuntime | MaxRuntimeSetLater | ShimStoppedPastTimeout | ShimStoppedPastMaxRuntime => {
                ("failed", "timeout", true)
            }
            ShimKilled => ("failed", "lost", false),
            EndsByItself | SpawnerKilled | ShimStoppedAndEndsByItself => ("done", "exit", false),
        }
    }
}

struct Running {
    way: Way,
    job: i64,
    /// `None`: a limit of its own had ended it before it was looked at.
    shim: Option<i32>,
}

impl Running {
    fn signal_shim(&self, signal: Signal) {
        if let Some(shim) = self.shim {
            kill(shim, signal);
        }
    }
}

/// Begins one job for each way; its shim is known, and it has begun.
fn begin(nest: &Nest, ways: &[Way]) -> Vec<Running> {
    nest.ok(&["queue", "set", "short", "--max-runtime", "6s"]);
    let stage = json!(STUBBORN);
    std::fs::write(
        nest.file("p.toml"),
        format!("[pipeline.p]\nstart = \"a\"\n[pipeline.p.stage.a]\nshell = {stage}\ngrace = \"1s\"\n"),
    )
    .unwrap();
    nest.ok(&["pipeline", "apply", "p.toml"]);
    let jobs = ways.iter().map(|way| match way {
        TaskStop => {
            nest.ok(&["task", "start", "p"]);
            nest.sql().query_row("SELECT job_id FROM tasks", [], |row| row.get(0)).unwrap()
        }
        way => nest.sh(&[&["--grace", "1s"], way.options()].concat(), STUBBORN),
    });
    let jobs: Vec<i64> = jobs.collect();
    let running = ways.iter().zip(jobs).map(|(way, job)| {
        nest.until_log(job, "begin");
        let shim = until("its shim, or its end", || match &nest.show(job) {
            running if running["state"] == "running" => {
                Some(Some(nest.record(running["run_id"].as_i64()?, "STARTED", "shim")?.parse().ok()?))
            }
            _ => Some(None),
        });
        Running { way: *way, job, shim }
    });
    running.collect()
}

fn work(nest: &Nest, runs: usize) -> Worker {
    nest.work(&["--slots", &runs.to_string(), "--tick", "200ms"])
}

/// What happens to a run.
fn act(nest: &Nest, run: &Running) {
    let id = run.job.to_string();
    match run.way {
        Cancel => drop(nest.ok(&["cancel", &id])),
        SqlCancel => sql_cancel(nest, run.job),
        TaskStop => drop(nest.ok(&["task", "stop", "1"])),
        MaxRuntimeSetLater => drop(nest.ok(&["queue", "set", "later", "--max-runtime", "1s"])),
        ShimKilled => run.signal_shim(Signal::KILL),
        SpawnerKilled => assert!(kill(nest.parent_of(run.shim.expect("it has no limit")), Signal::KILL)),
        ShimStoppedThenCancel => {
            run.signal_shim(Signal::STOP);
            sql_cancel(nest, run.job);
        }
        ShimStoppedPastTimeout | ShimStoppedPastIdleTimeout | ShimStoppedPastMaxRuntime | ShimStoppedAndEndsByItself => {
            run.signal_shim(Signal::STOP);
        }
        Timeout | IdleTimeout | MaxRuntime | EndsByItself => {}
    }
}

fn sql_cancel(nest: &Nest, job: i64) {
    nest.sql().execute("INSERT INTO cancel (job_id) VALUES (?1)", [job]).unwrap();
}

fn check(nest: &Nest, run: &Running, who: &str) {
    let what = format!("{who}, {:?}", run.way);
    let job = nest.until_ended(run.job);
    let (state, reason, is_asked) = run.way.end();
    assert_eq!((job["state"].as_str(), job["reason"].as_str()), (Some(state), Some(reason)), "{what}: {job}");
    let terms = std::fs::read_to_string(nest.file(&format!("term.{}", run.job))).unwrap_or_default();
    assert_eq!(terms.contains("term"), is_asked, "{what}: TERM comes first, and only where it is to end: {job}");
    let runs: Vec<&Value> = job["runs"].as_array().unwrap().iter().collect();
    assert_eq!(runs.len(), 1, "{what}: {job}");
    if is_asked {
        assert_eq!(job["signal"], 9, "{what}: KILL after the grace: {job}");
    }
    // The lock goes with the last descriptor, a moment before the process is reaped.
    until("its shim to be gone", || run.shim.is_none_or(|shim| !lives(shim)).then_some(()));
}

/// All ways but those that are met by `after` too late or too early. Adopted as often as `times` says.
fn walk(times: u32, who: &str) {
    // What hurts the others of a worker is tried alone, and what ends by itself ends when the others have ended.
    let (last, first): (Vec<Way>, Vec<Way>) =
        WAYS.iter().filter(|way| **way != SpawnerKilled).partition(|way| way.end().0 == "done");
    for ways in [[first, last].concat(), vec![SpawnerKilled]] {
        let nest = Nest::new();
        let mut worker = work(&nest, ways.len());
        let runs = begin(&nest, &ways);
        for n in 1..=times {
            worker.kill();
            worker = work(&nest, ways.len());
            // What has ended meanwhile by a limit of its own is not adopted any more.
            let waits = "SELECT count(*) FROM run WHERE finished_at IS NULL AND kind = 'job' AND adopted < ?1";
            until("the runs to be adopted", || {
                nest.sql().query_row(waits, [n], |row| row.get::<_, i64>(0)).is_ok_and(|n| n == 0).then_some(())
            });
        }
        runs.iter().for_each(|run| act(&nest, run));
        let (ends, asked): (Vec<&Running>, Vec<&Running>) = runs.iter().partition(|run| run.way.end().0 == "done");
        asked.iter().for_each(|run| check(&nest, run, who));
        for run in &ends {
            assert_eq!(nest.state(run.job), "running", "{who}, {:?}: it continues", run.way);
        }
        std::fs::write(nest.file("go"), "").unwrap();
        ends.iter().for_each(|run| check(&nest, run, who));
        until("whole trees to be gone", || nest.of_runs().is_empty().then_some(()));
    }
}

#[test]
fn a_launched_run_ends_as_it_should_in_every_way() {
    walk(0, "launched");
}

#[test]
fn an_adopted_run_ends_as_a_launched_one_does() {
    walk(1, "adopted");
}

#[test]
fn a_run_that_was_adopted_twice_ends_as_a_launched_one_does() {
    walk(2, "adopted twice");
}

/// Stops a shim again as soon as it continues, until it is gone.
fn keep_stopped(shim: i32) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while lives(shim) {
            kill(shim, Signal::STOP);
            std::thread::yield_now();
        }
    })
}

#[test]
fn a_stopped_shim_is_killed_and_its_run_ends_for_its_cause() {
    let nest = Nest::new();
    let _worker = work(&nest, 4);
    nest.ok(&["queue", "set", "q", "--max-runtime", "2s"]);
    let cases: [(&[&str], &str); 4] = [
        (&["--timeout", "2s"], "failed timeout"),
        (&["--idle-timeout", "2s"], "failed output"),
        (&["--queue", "q"], "failed timeout"),
        (&[], "cancelled cancelled"),
    ];
    let jobs = cases.map(|(options, expected)| {
        let job = nest.sh(
            &[&["--grace", "100ms"], options].concat(),
            "trap '' TERM; echo begin; setsid sleep 600 & while :; do sleep 0.1; done",
        );
        nest.until_pid(job);
        let shim = nest.shim(nest.show(job)["run_id"].as_i64().unwrap());
        (job, keep_stopped(shim), expected)
    });
    let told = until("the worker to tell of a shim that stands still", || {
        let why = nest.ok(&["why", &jobs[3].0.to_string()]);
        why.contains("is stopped").then_some(why)
    });
    assert!(told.contains("kill -CONT"), "{told}");
    assert!(nest.status()["problems"].to_string().contains("is stopped"), "{}", nest.status());
    assert!(nest.say(&["doctor"]).out.contains("is stopped"));
    sql_cancel(&nest, jobs[3].0);
    for (job, stopper, expected) in jobs {
        let ended = nest.until_ended(job);
        let end = format!("{} {}", ended["state"].as_str().unwrap(), ended["reason"].as_str().unwrap());
        assert_eq!(end, expected, "{ended}");
        stopper.join().unwrap();
    }
    until("whole trees to be gone", || nest.of_runs().is_empty().then_some(()));
}

/// Also where one thread of it does.
#[test]
fn what_traces_a_shim_is_named_by_each_face() {
    let nest = Nest::new();
    let _worker = work(&nest, 1);
    let job = nest.sh(&[], "exec sleep 600");
    nest.until_pid(job);
    let traced = Frozen::new(nest.shim(nest.show(job)["run_id"].as_i64().unwrap()));
    let remedy = format!("kill {}", std::process::id());
    until("the worker to tell of what traces its shim", || {
        let why = nest.ok(&["why", &job.to_string()]);
        (why.contains("traces it") && why.ends_with(&remedy)).then_some(())
    });
    assert!(nest.status()["problems"].to_string().contains("traces it"), "{}", nest.status());
    assert!(nest.say(&["doctor"]).out.contains("traces it"));
    drop(traced);
    nest.ok(&["cancel", &job.to_string()]);
    assert_eq!(nest.until_ended(job)["state"], "cancelled");
}

#[test]
fn a_job_that_stops_its_own_shim_does_not_outlive_its_timeout() {
    let nest = Nest::new();
    let _worker = work(&nest, 1);
    let job = nest.sh(&["--timeout", "1s", "--grace", "100ms"], "echo begin; while :; do kill -STOP $PPID; sleep 0.001; done");
    let ended = nest.until_ended(job);
    assert_eq!((ended["state"].as_str(), ended["reason"].as_str()), (Some("failed"), Some("timeout")), "{ended}");
    until("its tree to be gone", || nest.of_runs().is_empty().then_some(()));
}

#[test]
fn a_stopped_shim_that_goes_on_is_not_reported_any_more() {
    let nest = Nest::new();
    let _worker = work(&nest, 1);
    let job = nest.sh(&[], "exec sleep 600");
    nest.until_pid(job);
    let shim = nest.shim(nest.show(job)["run_id"].as_i64().unwrap());
    kill(shim, Signal::STOP);
    until("it to be told", || nest.ok(&["why", &job.to_string()]).contains("is stopped").then_some(()));
    kill(shim, Signal::CONT);
    until("it to be told no more", || (!nest.ok(&["why", &job.to_string()]).contains("is stopped")).then_some(()));
    assert_eq!(nest.status()["problems"], json!([]));
    nest.ok(&["cancel", &job.to_string()]);
    assert_eq!(nest.until_ended(job)["state"], "cancelled");
}

/// By its record the run began with the machine: it has run for longer than the limit, and this worker for less.
#[test]
fn an_adopted_run_began_when_its_record_says() {
    let nest = Nest::new();
    let first = work(&nest, 1);
    let job = nest.sh(&["--queue", "later", "--grace", "100ms"], "exec sleep 600");
    nest.until_pid(job);
    let run = nest.show(job)["run_id"].as_i64().unwrap();
    let shim = nest.shim(run);
    first.kill();
    let number = |key: &str| nest.record(run, "STARTED", key).unwrap().parse::<i64>().unwrap();
    let started = Started {
        pid: number("pid") as i32,
        shim_pid: shim,
        shim_start_ticks: number("shim_ticks") as u64,
        at_ms: number("at"),
        // As long as the one that it replaces.
        kept: Some(Kept { boot_ms: 1, grace_ms: 100 * 10_u64.pow(number("boot").ilog10()), ..Kept::default() }),
    };
    let path = nest.beside().join("runs").join(run.to_string());
    let records = std::fs::read_to_string(&path).unwrap();
    let line = records.lines().find(|line| line.starts_with("STARTED")).unwrap();
    let began = String::from_utf8(Record::Started(started).to_line()).unwrap();
    assert_eq!(began.trim_end().len(), line.len(), "the shim writes on where it was");
    std::fs::write(&path, records.replace(line, began.trim_end())).unwrap();
    let _second = work(&nest, 1);
    until("the run to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    assert_eq!(nest.state(job), "running");
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime_s: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    nest.ok(&["queue", "set", "later", "--max-runtime", &format!("{}ms", (uptime_s * 500.0) as u64)]);
    let ended = nest.until_ended(job);
    assert_eq!((ended["state"].as_str(), ended["reason"].as_str()), (Some("failed"), Some("timeout")), "{ended}");
}

/// The worker keeps the idle timeout for a stopped shim, and what the job writes counts as it does for the shim.
#[test]
fn a_job_that_writes_is_not_idle_while_its_shim_is_stopped() {
    let nest = Nest::new();
    let _worker = work(&nest, 1);
    let job = nest.sh(&["--idle-timeout", "4s"], "n=0; while [ $n -lt 80 ]; do echo $n; n=$((n + 1)); sleep 0.1; done");
    nest.until_pid(job);
    kill(nest.shim(nest.show(job)["run_id"].as_i64().unwrap()), Signal::STOP);
    let ended = nest.until_ended(job);
    assert_eq!((ended["state"].as_str(), ended["reason"].as_str()), (Some("done"), Some("exit")), "{ended}");
    assert!(nest.log(job).ends_with("79"));
}
