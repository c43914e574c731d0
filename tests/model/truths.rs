//! What must be true of a file at any time. Each is a question to which the answer is "none".

use std::collections::BTreeMap;

use rusqlite::Connection;

const NEVER: [(&str, &str); 29] = [
    (
        "a queued job owns nothing",
        "SELECT id FROM job WHERE state = 'queued' AND coalesce(run_id, pid, started_at, finished_at, reason) IS NOT NULL",
    ),
    (
        "a running job is owned by exactly one open run of its own",
        "SELECT id FROM job j WHERE state = 'running'
            AND 1 <> (SELECT count(*) FROM run WHERE job_id = j.id AND kind = 'job' AND finished_at IS NULL)
             OR state = 'running' AND NOT EXISTS (SELECT 1 FROM run WHERE id = j.run_id AND job_id = j.id AND kind = 'job' AND finished_at IS NULL)",
    ),
    (
        "an open run of a job owns it",
        "SELECT id FROM run r WHERE kind = 'job' AND finished_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM job WHERE id = r.job_id AND state = 'running' AND run_id = r.id)",
    ),
    (
        "an ended job says why and when, and has no process",
        "SELECT id FROM job WHERE state NOT IN ('queued', 'running') AND (reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL)",
    ),
    ("a done job has the reason exit and exit_code 0", "SELECT id FROM job WHERE state = 'done' AND (reason IS NOT 'exit' OR exit_code IS NOT 0)"),
    (
        "no cancel of an ended job is open",
        "SELECT c.id FROM cancel c LEFT JOIN job j ON j.id = c.job_id
          WHERE c.closed_at IS NULL AND coalesce(j.state, 'gone') NOT IN ('queued', 'running')",
    ),
    (
        "a suspension belongs to a job, and has its run",
        "SELECT id FROM suspend s WHERE run_id IS NULL OR NOT EXISTS (SELECT 1 FROM job WHERE id = s.job_id)",
    ),
    (
        "the counts are the truth",
        "SELECT * FROM (SELECT state, hold, queue, n FROM tally WHERE n <> 0
                        EXCEPT SELECT state, coalesce(hold, ''), queue, count(*) FROM job GROUP BY 1, 2, 3)",
    ),
    (
        "everything is counted",
        "SELECT * FROM (SELECT state, coalesce(hold, ''), queue, count(*) FROM job GROUP BY 1, 2, 3
                        EXCEPT SELECT state, hold, queue, n FROM tally)",
    ),
    (
        "a queue knows its head",
        "SELECT name FROM queue WHERE (head_priority, head_rank, head_id) IS NOT
          (SELECT priority, coalesce(place, id), id FROM job WHERE job.queue = name AND state = 'queued' AND hold IS NULL
            ORDER BY priority DESC, coalesce(place, id), id LIMIT 1)",
    ),
    (
        "a queue knows whether it is full",
        "SELECT name FROM queue WHERE is_full <>
          (slots IS NOT NULL AND slots <= (SELECT count(*) FROM job WHERE job.queue = name AND state = 'running'))",
    ),
    (
        "what a job names is there",
        "SELECT id FROM job WHERE state IN ('queued', 'running')
            AND (queue NOT IN (SELECT name FROM queue) OR lane IS NOT NULL AND lane NOT IN (SELECT key FROM lane))",
    ),
    (
        "a lane counts who runs in it",
        "SELECT key FROM lane WHERE running <> (SELECT count(*) FROM job WHERE state = 'running' AND lane = key)",
    ),
    (
        "no job is ready in a full lane",
        "SELECT id FROM job j JOIN lane l ON l.key = j.lane WHERE j.state = 'queued' AND j.hold IS NULL AND l.running >= l.max_running",
    ),
    (
        "one of each queue stands ready in a lane with room",
        "SELECT lane FROM job j JOIN lane l ON l.key = j.lane
          WHERE j.state = 'queued' AND coalesce(j.hold, 'lane') = 'lane' AND l.running < l.max_running
          GROUP BY j.lane, j.queue HAVING sum(j.hold IS NULL) <> 1",
    ),
    (
        "a queued job knows whether it takes more slots than there are",
        "SELECT j.id FROM job j JOIN queue q ON q.name = j.queue
          WHERE j.state = 'queued'
            AND j.too_wide <> (j.slots > 1
                               AND (j.slots > coalesce(nullif(q.slots, 0), 10000)
                                    OR j.slots > coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'worker_slots'), 10000)))",
    ),
    ("only a queued job has a pass", "SELECT id FROM job WHERE lane_pass = 1 AND (state <> 'queued' OR lane IS NULL)"),
    (
        "a key has one live job",
        "SELECT unique_key FROM job WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0 GROUP BY 1 HAVING count(*) > 1",
    ),
    (
        "no job waits for what has ended",
        "SELECT d.job_id FROM dependency d JOIN job p ON p.id = d.on_job WHERE d.state = 'unmet' AND p.state NOT IN ('queued', 'running')
            AND NOT EXISTS (SELECT 1 FROM unresolved WHERE job_id = p.id)",
    ),
    (
        "what is broken has ended the wrong way",
        "SELECT d.job_id FROM dependency d JOIN job p ON p.id = d.on_job JOIN job c ON c.id = d.job_id
          WHERE d.state = 'broken' AND c.state = 'queued' AND p.state IN ('queued', 'running')",
    ),
    (
        "a queued job counts what it waits for",
        "SELECT id FROM job j WHERE state = 'queued' AND (unmet, broken) IS NOT
          (SELECT coalesce(sum(state = 'unmet'), 0), coalesce(sum(state = 'broken'), 0) FROM dependency WHERE job_id = j.id)",
    ),
    (
        "no job waits for jobs without waiting for one",
        "SELECT id FROM job j WHERE hold = 'dependency' AND NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = j.id AND state <> 'met')",
    ),
    ("a run id is below the limit", "SELECT id FROM run WHERE id >= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'run_id_limit')"),
    (
        "who has ended holds nothing",
        "SELECT r.id FROM resource r WHERE r.state = 'held'
            AND (NOT EXISTS (SELECT 1 FROM run WHERE id = r.run_id AND finished_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM job WHERE id = r.job_id AND state IN ('queued', 'running'))
             AND NOT EXISTS (SELECT 1 FROM task WHERE id = r.task_id AND state = 'running'))",
    ),
    (
        "a queued job counts what its next attempt must not find",
        "SELECT id FROM job j WHERE state = 'queued' AND unreleased <> (
            SELECT count(*) FROM resource r LEFT JOIN run ON run.id = r.run_id
             WHERE r.state = 'releasing' AND (r.job_id = j.id OR run.job_id = j.id))",
    ),
    (
        "an auxiliary run of a resource is open, and is its own",
        "SELECT id FROM resource r WHERE auxiliary_run_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM run WHERE id = r.auxiliary_run_id AND resource_id = r.id AND finished_at IS NULL)",
    ),
    (
        "what is gone says how, and nothing else does",
        "SELECT id FROM resource WHERE (state = 'released') <> (released_at IS NOT NULL AND released_by IS NOT NULL)",
    ),
    ("a closed run says how", "SELECT id FROM run WHERE (finished_at IS NULL) <> (outcome IS NULL)"),
    ("nothing is impossible", "SELECT id FROM job WHERE fault IS NOT NULL OR NOT (json_valid(command) AND json_valid(env) AND json_valid(policy))"),
];

/// Panics with the first thing that is not true.
pub fn check(conn: &Connection) {
    check_but(conn, &[]);
}

/// As [`check`], but for some of them.
pub fn check_but(conn: &Connection, not: &[&str]) {
    for (what, question) in NEVER.into_iter().filter(|(what, _)| !not.contains(what)) {
        let mut rows = conn.prepare_cached(question).unwrap();
        let found = rows.query_map([], |row| row.get_ref(0).map(|value| format!("{value:?}"))).unwrap();
        let found: Vec<String> = found.map(Result::unwrap).collect();
        assert!(found.is_empty(), "not true: {what}: {found:?}");
    }
}

/// All rows of a table, by its first column.
pub fn table(conn: &Connection, table: &str, condition: &str) -> BTreeMap<String, String> {
    let mut rows = conn.prepare_cached(&format!("SELECT * FROM {table} WHERE {condition}")).unwrap();
    let columns = rows.column_count();
    let rows = rows.query_map([], |row| {
        let values: Result<Vec<_>, _> = (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}"))).collect();
        let values = values?;
        Ok((values[0].clone(), values.join("|")))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// All rows of the file, to see that something changed nothing.
pub fn everything(conn: &Connection) -> Vec<String> {
    let tables = ["job", "run", "cancel", "event", "queue", "lane", "counter", "meta", "resource", "suspend"];
    let mut all: Vec<String> = tables.iter().flat_map(|name| table(conn, name, "1").into_values()).collect();
    for several in
        ["SELECT job_id || ':' || on_job || need || state FROM dependency", "SELECT state || hold || queue || n FROM tally"]
    {
        let mut rows = conn.prepare_cached(several).unwrap();
        all.extend(rows.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
    }
    all
}
