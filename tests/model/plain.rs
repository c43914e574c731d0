//! Steps of a client that has nothing but SQL.

use rusqlite::Connection;
use tenure::job::{Argv, Need, NewJob, State};

use super::file;
use super::play::Play;
use super::verbs::{fresh_job, set_hold};

impl Play {
    /// A client without the capability.
    pub(super) fn plain<T>(&mut self, f: impl FnOnce(&Connection) -> T) -> T {
        file::make_plain(&self.conn);
        let answer = f(&self.conn);
        file::register(&self.conn);
        answer
    }

    pub(super) fn plain_add(&mut self, a: u8, b: u8, c: u8) {
        let mut new = NewJob::new(Argv::from_strs(&["true"]).unwrap());
        new.placement.queue = ["q0", "q1"][usize::from(a % 2)].into();
        new.placement.lane = [None, Some("l0"), Some("l1")][usize::from(a / 2 % 3)].map(Into::into);
        new.placement.priority = i64::from(b % 3);
        new.placement.unique_key = [None, None, Some("u0")][usize::from(b / 3 % 3)].map(Into::into);
        self.log.push(format!(
            "plain add {} {:?} lane {:?} prio {} key {:?}",
            self.world.last_id + 1,
            new.placement.queue,
            new.placement.lane,
            new.placement.priority,
            new.placement.unique_key
        ));
        let taken = new.placement.unique_key.as_deref().is_some_and(|key| self.world.live_with_key(key).is_some());
        let or = ["", "OR REPLACE ", "OR IGNORE "][usize::from(c % 3)];
        let sql =
            format!("INSERT {or}INTO job (command, queue, lane, priority, unique_key) VALUES ('[\"true\"]', ?1, ?2, ?3, ?4)");
        let values =
            (new.placement.queue.clone(), new.placement.lane.clone(), new.placement.priority, new.placement.unique_key.clone());
        let added = self.plain(|conn| conn.execute(&sql, values));
        assert_eq!(added.is_err(), taken, "{added:?}");
        if !taken {
            self.world.add(fresh_job(&new));
        }
    }

    pub(super) fn plain_cancel(&mut self, a: u8) {
        let Some(id) = self.some_job(a) else { return };
        self.log.push(format!("plain cancel {id}"));
        let asked = self.plain(|conn| conn.execute("INSERT INTO cancel (job_id) VALUES (?1)", [id]));
        let job = self.world.job(id);
        assert_eq!(asked.is_err(), job.state.is_terminal(), "{asked:?}");
        if asked.is_ok() && !job.cancel_open {
            job.cancel_open = true;
            job.events.push("cancel_asked");
        }
    }

    /// Also on a job that has ended the wrong way: then the one that waits is broken until the next look.
    pub(super) fn plain_depend(&mut self, a: u8, b: u8, c: u8) {
        let (Some(child), Some(parent)) = (self.some_job(a), self.some_job(b)) else { return };
        let need = [Need::Done, Need::Any, Need::Failed][usize::from(c % 3)];
        self.log.push(format!("plain: {child} waits for {parent} to be {need:?}"));
        let job = &self.world.jobs[&child];
        let legal = job.state == State::Queued && parent < child && !job.deps.contains_key(&parent);
        let sql = "INSERT INTO dependency (job_id, on_job, need) VALUES (?1, ?2, ?3)";
        let inserted = self.plain(|conn| conn.execute(sql, (child, parent, need.as_str())));
        assert_eq!(inserted.is_ok(), legal, "{inserted:?}");
        if legal {
            self.world.depend(child, parent, need);
        }
    }

    pub(super) fn plain_update(&mut self, a: u8, b: u8, c: u8) {
        let Some(id) = self.some_job(a) else { return };
        let now = self.world.now;
        let (column, value) = match b % 4 {
            0 => ("priority", i64::from(c % 4)),
            1 => ("user_hold", i64::from(c % 2)),
            2 => ("available_at", now + i64::from(c) * 20),
            _ => ("available_at", 0),
        };
        self.log.push(format!("plain update {id} {column} = {value}"));
        let sql = format!("UPDATE job SET {column} = ?2 WHERE id = ?1");
        let updated = self.plain(|conn| conn.execute(&sql, (id, value)));
        let job = self.world.job(id);
        assert_eq!(updated.is_ok(), job.state == State::Queued, "{updated:?}");
        if job.state != State::Queued {
            return;
        }
        match column {
            "priority" => job.priority = value,
            "user_hold" => set_hold(job, value == 1),
            _ => job.available_at = value,
        }
    }
}
