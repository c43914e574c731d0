//! Rows for the tests of this room and of the command line.

use crate::host::lock::Holder;
use crate::host::report::{Phase, Report};
use crate::host::sight::{Process, Sight};
use crate::job::{JobId, Nonce, RunId, RunKind, State};
use crate::store::job::rows::{Job, Run};
use crate::store::job::why::WhyFacts;

/// A plain job in a state.
pub(crate) fn job(id: i64, state: State) -> Job {
    let ran = state != State::Queued;
    Job {
        id: JobId(id),
        command: r#"["echo","hi"]"#.into(),
        state,
        hold: None,
        reason: None,
        queue: "default".into(),
        lane: None,
        priority: 0,
        label: None,
        cwd: "/".into(),
        available_at: 0,
        run_id: ran.then_some(RunId(11)),
        pid: None,
        started_at: ran.then_some(1_000),
        finished_at: state.is_terminal().then_some(3_000),
        attempts: u32::from(ran),
        max_attempts: 1,
        created_at: 500,
        expires_at: None,
        unique_key: None,
        array_index: None,
        stops_array: false,
        env: "{}".into(),
        policy: "{}".into(),
        deferrals: 0,
        failed_starts: 0,
        last_reason: None,
        exit_code: None,
        signal: None,
        error: None,
        progress: None,
        result: None,
        user_hold: false,
        task_id: None,
        task_hold: false,
        unmet: 0,
        broken: 0,
        due_seen: 0,
        lane_pass: false,
        slots: 1,
        uses: None,
        cancel_open: false,
        suspension: None,
        unreadable: None,
        owner: None,
    }
}

/// A run that has started and not ended.
pub(crate) fn run(id: i64, job: i64) -> Run {
    Run {
        id: RunId(id),
        job: Some(JobId(job)),
        kind: RunKind::Job,
        parent: None,
        attempt: 1,
        nonce: Nonce([7; 16]),
        instance: "instance".into(),
        boot_id: "boot".into(),
        claimed_at: 900,
        pid: Some(4711),
        started_at: Some(1_000),
        exited_at: None,
        finished_at: None,
        outcome: None,
        reason: None,
        exit_code: None,
        signal: None,
        error: None,
        leftovers: None,
        max_rss_bytes: None,
        user_ms: None,
        system_ms: None,
        adopted: 0,
        resource: None,
        workspace: None,
        hook: None,
    }
}

/// A worker with `slots` slots.
pub(crate) fn worker(slots: usize) -> Holder {
    Holder { pid: 99, instance: "i".into(), kind: "work".into(), slots, ..Holder::unknown() }
}

/// The same as seen from outside: it serves all queues and has just completed a round.
pub(crate) fn sight(slots: usize) -> Sight {
    let report = Report {
        instance: "i".into(),
        boot_id: "b".into(),
        time_ns: 1,
        queues: vec![],
        queues_cut: false,
        only: None,
        serves: vec![],
        slots,
        slots_from: "--slots".into(),
        busy: 0,
        phase: Phase::Serving,
        open_files_max: 1024,
        claims_at_ms: 1,
        reaper_at_ms: 1,
        tick_ms: 10_000,
        conditions: vec![],
        memory: Default::default(),
    };
    Sight {
        holder: worker(slots),
        report: Some(report),
        process: Process::Runs,
        claims_ago_ms: Some(100),
        reaper_ago_ms: Some(100),
        blocked: None,
    }
}

/// Returns a job of which nothing else is known.
pub(crate) fn why_facts(job: Job) -> WhyFacts {
    WhyFacts {
        job,
        obstacles: vec![],
        last: None,
        cancel: None,
        suspended_for: None,
        suspended: vec![],
        launched: None,
        has_launcher: false,
        stuck: None,
        back: None,
        dependants: None,
        hooks: vec![],
    }
}
