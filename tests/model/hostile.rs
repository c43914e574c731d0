//! A client that drops the guards, switches the checks off, writes what it likes and puts the guards back.

use rusqlite::Connection;

/// One wrong write, out of three bytes: what, which row, which value.
pub type Wrong = [u8; 3];

/// Writes them all. What an index refuses is refused.
pub fn write(conn: &Connection, wrongs: &[Wrong]) -> Vec<String> {
    without_guards(conn, || wrongs.iter().map(|wrong| sql(*wrong)).filter(|sql| conn.execute_batch(sql).is_ok()).collect())
}

/// Does something with all triggers dropped and the checks off, and puts them back.
pub fn without_guards<T>(conn: &Connection, act: impl FnOnce() -> T) -> T {
    let dropped = drop_guards(conn, "%");
    conn.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let done = act();
    conn.pragma_update(None, "ignore_check_constraints", false).unwrap();
    dropped.iter().for_each(|sql| conn.execute_batch(sql).unwrap());
    done
}

/// Drops the triggers whose name is LIKE that. Returns what makes them again.
pub fn drop_guards(conn: &Connection, like: &str) -> Vec<String> {
    let mut triggers = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name LIKE ?1").unwrap();
    let triggers: Vec<(String, String)> =
        triggers.query_map([like], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    triggers.iter().for_each(|(name, _)| conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    triggers.into_iter().map(|(_, sql)| sql).collect()
}

fn sql([what, which, value]: Wrong) -> String {
    let number = ["NULL", "1", "2", "3", "99"][usize::from(value % 5)];
    let row = format!("id = (SELECT id FROM TABLE ORDER BY id LIMIT 1 OFFSET {which} % max(1, (SELECT count(*) FROM TABLE)))");
    let (job, run) = (row.replace("TABLE", "job"), row.replace("TABLE", "run"));
    match what % 16 {
        0..=2 => {
            let state = ["queued", "running", "done", "failed", "cancelled", "zombie"][usize::from(value % 6)];
            format!("UPDATE job SET state = '{state}' WHERE {job}")
        }
        3 => format!("UPDATE job SET run_id = {number} WHERE {job}"),
        4 => format!("UPDATE job SET pid = {number} WHERE {job}"),
        5 => format!("UPDATE job SET started_at = {number} WHERE {job}"),
        6 => format!("UPDATE job SET finished_at = {number} WHERE {job}"),
        7 => format!("UPDATE job SET reason = iif({value} % 2, NULL, 'exit') WHERE {job}"),
        8 => format!("UPDATE job SET exit_code = {number} WHERE {job}"),
        9 => format!("UPDATE job SET attempts = -1, max_attempts = {value} % 2 WHERE {job}"),
        10 => format!(
            "UPDATE job SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, reason = NULL WHERE {job}"
        ),
        11 => format!("DELETE FROM run WHERE {run}"),
        12 => format!("UPDATE run SET job_id = {value} WHERE {run}"),
        13 => format!("UPDATE run SET finished_at = 5, outcome = iif({value} % 2, 'done', 'unstarted') WHERE {run}"),
        14 => format!("UPDATE lane SET running = {value} % 3; DELETE FROM tally"),
        _ => {
            "UPDATE job SET lane_pass = 0; UPDATE cancel SET closed_at = NULL WHERE id = (SELECT max(id) FROM cancel)".to_owned()
        }
    }
}
