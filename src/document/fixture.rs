//! Rows for the tests of this room and of the faces.

use super::lease::Seen;
use super::picture::{Picture, Workspaces};
use crate::host::gates::Machine;
use crate::job::Hold;
use crate::job::{JobId, Nonce, TaskState};
use crate::store::Health;
use crate::store::job::counted::Counter;
use crate::store::job::read::Counts;
use crate::store::lease::Lease;
use crate::store::pipeline::task_rows::{Step, TaskRow};

pub(crate) use crate::queue::fixture::{job, run, sight};

/// A lease of a foreground command.
pub fn lease() -> Seen {
    let lease = Lease {
        name: "gpu".into(),
        nonce: Nonce([7; 16]),
        run: None,
        job: Some(JobId(7)),
        pid: Some(4711),
        command: r#"["make","-j8"]"#.into(),
        why: Some("the nightly build".into()),
        boot_id: "b".into(),
        since: 1_000,
    };
    Seen { lease, is_alive: true, survivors: Vec::new() }
}

/// A valid file with a worker.
pub fn picture() -> Picture {
    let machine = Machine {
        memory_total_bytes: 8 << 30,
        memory_available_bytes: 4 << 30,
        load: 0.5,
        disk_free_bytes: Some(100 << 30),
        disk_total_bytes: Some(200 << 30),
    };
    Picture {
        counts: Counts { queued: 5, running: 1, slots_taken: 1, held: vec![(Hold::Lane, 2)], ..Counts::default() },
        suspended: 0,
        queues: vec![],
        all_paused_at: None,
        lanes: vec![],
        pools: vec![],
        stuck: Vec::new(),
        over: 0,
        leases: vec![],
        workspaces: Workspaces::default(),
        schedules: crate::store::schedule::Summary::default(),
        tasks: vec![],
        counters: vec![Counter { name: "adopted_total".into(), n: 3, last_at: Some(1_000), note: Some("run 7".into()) }],
        resources: crate::store::resource::Counts::default(),
        failures: crate::store::job::failures::Failures::default(),
        hooks: crate::store::hook::Counts::default(),
        live: vec![],
        oldest_ready_ms: Some(1_000),
        worker: Some(sight(4)),
        memory: None,
        standing: None,
        machine,
        health: Health::default(),
        blocked: None,
        writer: None,
        read_only: None,
        now_ms: 61_000,
    }
}

/// A task that is asked to stop, with hostile texts.
pub fn task() -> TaskRow {
    TaskRow {
        id: 1,
        pipeline: "ship".into(),
        revision: 2,
        key: Some("v1\x1b[2J".into()),
        state: TaskState::Running,
        stage: "test".into(),
        job: Some(JobId(8)),
        params: r#"{"version":"\u001b]0;x"}"#.into(),
        error: Some("\u{9b}".into()),
        created_at: 1_000,
        finished_at: None,
        stop_at: Some(2_000),
        stop_why: Some("\x07".into()),
        held: false,
        spec: String::new(),
    }
}

/// Its steps.
pub fn steps() -> Vec<Step> {
    let step = |seq, stage: &str, job, outcome: Option<&str>| Step {
        seq,
        stage: stage.into(),
        job: JobId(job),
        entered_at: 1_000,
        ended_at: outcome.map(|_| 1_500),
        outcome: outcome.map(str::to_owned),
    };
    vec![step(1, "build", 7, Some("done")), step(2, "test", 8, None)]
}
