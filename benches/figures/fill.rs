//! Files with very many rows, made without the work of a client or a worker for each.
//!
//! Each kind of row is a copy of one that tenure has written: a job that was added, held, or run to
//! its end. The triggers are dropped while the copies are inserted. Then the file must be without a
//! difference from `schema.sql` and without a contradiction, as the repair of tenure finds them.

use std::sync::OnceLock;
use std::time::Instant;

use rusqlite::Connection;
use tenure::store::upkeep::recount;
use tenure::store::{Role, schema};

use crate::nest::Nest;
use crate::plan::Plan;
use crate::row::thousands;

/// How many jobs of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill {
    /// Done, within the last 100 days, the oldest first.
    pub ended: usize,
    /// Held by a user, of a higher priority than each ready one.
    pub held: usize,
    /// Ready, with 1,000 labels and 100 priorities in mixed order.
    pub ready: usize,
}

/// Over so many milliseconds the jobs of a file have ended.
pub const ENDED_WITHIN_MS: i64 = 100 * 86_400_000;
/// Ready jobs in the file of [`old`].
pub const READY_IN_OLD: usize = 1_000;

/// Returns the file with a long history, which several figures use. It stays to the end.
pub fn old(plan: &Plan) -> (&'static Nest, usize) {
    static OLD: OnceLock<Nest> = OnceLock::new();
    let ended = plan.of(20_000, 10_000_000, 10_000_000);
    (OLD.get_or_init(|| Fill { ended, ready: READY_IN_OLD, ..Fill::default() }.make()), ended)
}

impl Fill {
    pub fn make(self) -> Nest {
        let begun = Instant::now();
        let nest = Nest::new();
        nest.ok(&["add", "--cwd", "/", "-l", "label-1", "--", "/bin/true"]);
        nest.ok(&["work", "--until-idle", "--slots", "1"]);
        nest.ok(&["add", "--cwd", "/", "-l", "label-1", "--priority", "1000", "--hold", "--", "/bin/true"]);
        nest.ok(&["add", "--cwd", "/", "-l", "label-1", "--", "/bin/true"]);
        drop(nest.store(Role::Client));
        self.fill(&Connection::open(nest.db()).expect("the file opens")).expect("it is filled");
        // Otherwise the kernel would write it while the next figure is measured.
        std::fs::File::open(nest.db()).and_then(|file| file.sync_all()).expect("it is flushed");
        let rows = self.ended + self.held + self.ready;
        if rows >= 100_000 {
            let size = std::fs::metadata(nest.db()).map_or(0, |meta| meta.len());
            let (rows, took) = (thousands(rows as i64), begun.elapsed().as_secs_f64());
            eprintln!("    a file of {rows} jobs was made: {:.1} GB in {took:.0} s", size as f64 / 1e9);
        }
        nest
    }

    fn fill(self, conn: &Connection) -> tenure::Result<()> {
        schema::guard::register(conn)?;
        // This file is lost with the machine anyway.
        conn.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA cache_size = -1000000; PRAGMA ignore_check_constraints = ON; BEGIN",
        )?;
        let triggers = without_triggers(conn)?;
        // The three jobs that tenure has written: done, held, ready.
        let end = |n: usize| format!("{ENDED_WITHIN_MS} * (i - 3) / {}", n.max(1));
        let (first_held, first_ready) = (4 + self.ended, 4 + self.ended + self.held);
        let ended_at = format!("finished_at - {ENDED_WITHIN_MS} + {}", end(self.ended));
        let ended = [("run_id", "i"), ("label", "'label-' || i % 1000"), ("finished_at", &ended_at)];
        copies(conn, "job", "id = 1", 4, self.ended, &ended)?;
        copies(conn, "run", "job_id = 1", 4, self.ended, &[("job_id", "i"), ("finished_at", &ended_at)])?;
        copies(conn, "job", "id = 2", first_held, self.held, &[])?;
        let priority = ("priority", "((i * 2654435761) >> 8) % 100");
        copies(conn, "job", "id = 3", first_ready, self.ready, &[("label", "'label-' || i % 1000"), priority])?;
        conn.execute("UPDATE meta SET value = value + ?1 WHERE key = 'run_id_limit'", [self.ended as i64 + 1_000])?;
        for (state, hold, n) in [("done", "", self.ended), ("queued", "user", self.held), ("queued", "", self.ready)] {
            let counted = conn.execute("UPDATE tally SET n = n + ?3 WHERE state = ?1 AND hold = ?2", (state, hold, n as i64))?;
            assert_eq!(counted, 1, "the first job of {state} {hold} was counted");
        }
        for (_, sql) in &triggers {
            conn.execute_batch(sql)?;
        }
        recount::all(conn, 0)?;
        assert!(recount::all(conn, 0)?.is_nothing(), "the file has no contradiction");
        assert_eq!(schema::schema_differences(conn)?, [""; 0]);
        conn.execute_batch("COMMIT; PRAGMA journal_mode = WAL")?;
        conn.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Inserts ready jobs in transactions of so many rows, durably, without any trigger, and with the
/// statement that does least. Returns the rows a second.
pub fn rate_without_triggers(rows: usize, chunk: usize) -> f64 {
    let nest = Nest::new();
    nest.ok(&["add", "--cwd", "/", "-l", "label-1", "--", "/bin/true"]);
    let conn = Connection::open(nest.db()).expect("the file opens");
    let insert = || {
        schema::guard::register(&conn)?;
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 0")?;
        without_triggers(&conn)?;
        let priority = ("priority", "((i * 2654435761) >> 8) % 100");
        let begun = Instant::now();
        for n in 0..rows / chunk {
            copies(&conn, "job", "id = 1", 2 + n * chunk, chunk, &[("label", "'label-' || i % 1000"), priority])?;
        }
        Ok::<_, tenure::Error>(rows as f64 / begun.elapsed().as_secs_f64())
    };
    insert().expect("rows are inserted")
}

/// Drops all triggers. Returns their names and texts.
fn without_triggers(conn: &Connection) -> tenure::Result<Vec<(String, String)>> {
    let mut triggers = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    let triggers: Vec<(String, String)> =
        triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    Ok(triggers)
}

/// Inserts copies of the row that `of` names, with ids from `first` on and other values in some
/// columns; in these, `i` is the id.
fn copies(conn: &Connection, table: &str, of: &str, first: usize, n: usize, other: &[(&str, &str)]) -> tenure::Result<()> {
    // Without the generated columns.
    let mut columns = conn.prepare(&format!("SELECT name FROM pragma_table_xinfo('{table}') WHERE hidden = 0"))?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let value = |column: &String| match other.iter().find(|(name, _)| name == column) {
        Some((_, value)) => (*value).to_owned(),
        None if column == "id" => "i".to_owned(),
        None => column.clone(),
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    conn.execute_batch(&format!(
        "WITH RECURSIVE n (i) AS (SELECT {first} WHERE {n} > 0 UNION ALL SELECT i + 1 FROM n WHERE i < {first} + {n} - 1)
         INSERT INTO {table} ({}) SELECT {} FROM n, (SELECT * FROM {table} WHERE {of})",
        columns.join(", "),
        values.join(", ")
    ))?;
    Ok(())
}
