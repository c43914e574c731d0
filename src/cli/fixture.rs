//! Rows for the tests of this room.

use crate::cli::picture::{Picture, Workspaces};
use crate::cli::view::lease::Seen;
use crate::host::gates::Machine;
use crate::job::Hold;
use crate::job::{JobId, Nonce};
use crate::store::Health;
use crate::store::job::counted::Counter;
use crate::store::job::read::Counts;
use crate::store::lease::Lease;

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
