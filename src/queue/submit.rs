//! Adds jobs: private files first, then the rows in one transaction, then the notifications.

use std::collections::BTreeMap;
use std::io::Read;

use rusqlite::Connection;

use super::Queue;
use super::job::{Job, Start};
use super::secrets::Kept;
use crate::clock::ms_of;
use crate::error::{Error, Result};
use crate::host::secrets;
use crate::host::stop;
use crate::job::policy::Stdin;
use crate::job::{JobId, NewJob, check, workspace};
use crate::store::job::enqueue::{self, Added};
use crate::units::duration_ms;

impl Queue {
    /// Adds a job and returns its number; it is durable then.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value that cannot be accepted, [`Error::NotFound`] for a dependency
    /// that does not exist. [`Error::Unconfirmed`] if the disk has failed: the job may have been
    /// added, and the text names its number. After any other error nothing was added.
    pub fn add(&self, job: Job) -> Result<JobId> {
        let added = self.add_many([job])?;
        added.into_iter().next().ok_or_else(|| Error::Internal("a job was added and no number came back".into()))
    }

    /// Adds jobs in one transaction, all or none, and returns their numbers in the same order.
    ///
    /// # Errors
    /// As [`Queue::add`]; also for more than 100,000 jobs.
    pub fn add_many(&self, jobs: impl IntoIterator<Item = Job>) -> Result<Vec<JobId>> {
        let mut adding = self.adding();
        let now_ms = self.now_ms();
        let jobs = jobs.into_iter().map(|job| adding.prepare(job, now_ms)).collect::<Result<Vec<_>>>()?;
        let (added, ()) = adding.commit(move |conn, now_ms| Ok((enqueue::add(conn, &jobs, now_ms)?, ())))?;
        Ok(added.into_iter().map(|one| one.id).collect())
    }

    /// Begins to add jobs.
    pub(crate) fn adding(&self) -> Adding<'_> {
        Adding { queue: self, kept: Kept::default() }
    }
}

/// Jobs that are being added. Dropped before [`Adding::commit`], it leaves nothing behind.
pub(crate) struct Adding<'a> {
    pub(super) queue: &'a Queue,
    kept: Kept,
}

impl Adding<'_> {
    /// Keeps bytes in a private file until no live job needs it; returns its name.
    ///
    /// # Errors
    /// They are too many, or cannot be read or written.
    pub fn keep(&mut self, bytes: &mut dyn Read) -> Result<String> {
        self.kept.keep_bytes(self.queue.store.place(), bytes)
    }

    /// Writes the values of secrets into private files, which these jobs share, and names them in
    /// their policies.
    ///
    /// # Errors
    /// No program can be given them; or a file cannot be written.
    pub fn keep_secrets(&mut self, jobs: &mut [NewJob], values: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        for (name, value) in values {
            check::variable(name, value).map_err(|why| Error::Invalid(format!("secret: {why}")))?;
        }
        let fits = |job: &NewJob| check::fits(&job.command, &job.placement.env, values);
        jobs.iter().try_for_each(fits).map_err(Error::Invalid)?;
        let mut tokens = BTreeMap::new();
        for (name, value) in values {
            tokens.insert(name.clone(), self.keep(&mut value.as_slice())?);
        }
        jobs.iter_mut().for_each(|job| job.policy.secrets.clone_from(&tokens));
        Ok(())
    }

    /// Returns the row of a job, with its private files written.
    fn prepare(&mut self, job: Job, now_ms: i64) -> Result<NewJob> {
        job.is_sound()?;
        let cwd = directory(&job)?;
        let mut spec = job.spec;
        spec.placement.cwd = cwd;
        spec.available_at = match job.start {
            Start::Now => 0,
            Start::After(delay) => now_ms.saturating_add_unsigned(duration_ms(delay)),
            Start::At(at) => ms_of(at),
        };
        spec.expires_at = job.expires_in.map(|time| now_ms.saturating_add_unsigned(duration_ms(time)));
        let refused = |refusal: check::Refusal| Error::Invalid(refusal.to_string());
        check::of_description(&spec, job.secrets.keys().map(String::as_str), now_ms).map_err(refused)?;
        self.keep_secrets(std::slice::from_mut(&mut spec), &job.secrets)?;
        if let Some(bytes) = &job.stdin {
            spec.policy.stdin = Some(Stdin::Kept(self.keep(&mut bytes.as_slice())?));
        }
        Ok(spec)
    }

    /// Runs `insert` in one transaction; then the worker is woken, private files that no job needs
    /// any more are removed, and replaced jobs are asked to stop. `insert` gets the current time,
    /// and may be called more than once.
    ///
    /// # Errors
    /// Nothing was added, unless it is [`Error::Unconfirmed`].
    pub fn commit<T: Send + 'static>(
        self,
        mut insert: impl FnMut(&Connection, i64) -> Result<(Vec<Added>, T)> + Send + 'static,
    ) -> Result<(Vec<Added>, T)> {
        let (store, now_ms) = (&self.queue.store, self.queue.now_ms());
        self.kept.sync(store.place())?;
        let was_sound = store.health().fatal.is_none();
        let ((added, more), ticket) = match store.commit(move |conn| insert(conn, now_ms)) {
            Ok(committed) => committed,
            // SQLite could not flush: the pages may be in the log all the same.
            Err(error @ Error::Io { .. }) if was_sound && store.health().fatal.is_some() => {
                self.kept.keep();
                return Err(unconfirmed(&[], error));
            }
            Err(error) => return Err(error),
        };
        self.kept.keep();
        store.flushed(ticket).map_err(|error| unconfirmed(&added, error))?;
        added.iter().for_each(|one| secrets::remove(store.place(), &one.freed));
        self.queue.wake();
        // Independently of the worker: a job that has lost its key to a new one stops now.
        for replaced in added.iter().filter_map(|one| one.replaced) {
            if let Err(error) = stop::ask_directly(store, replaced) {
                log::warn!("job {replaced} is replaced and cannot be asked to stop from here; a worker does it: {error}");
            }
        }
        Ok((added, more))
    }
}

/// Returns the error for jobs that were written while the disk did not confirm it.
pub(super) fn unconfirmed(added: &[Added], error: Error) -> Error {
    let mut new = added.iter().filter(|one| !one.existing).map(|one| one.id);
    let (which, look) = match (new.next(), new.next_back()) {
        (None, _) if !added.is_empty() => return error,
        (None, _) => ("the jobs".to_owned(), "tenure ls -a".to_owned()),
        (Some(only), None) => (format!("job {only}"), format!("tenure show {only}")),
        (Some(first), Some(last)) => (format!("jobs {first} to {last}"), "tenure ls -a".to_owned()),
    };
    Error::Unconfirmed(format!("{which} may have been added; look before you add again ({look}): {error}"))
}

/// Returns the directory of a job: absolute, or inside its workspace.
fn directory(job: &Job) -> Result<String> {
    let text = |path: std::path::PathBuf| {
        let told = |path: std::ffi::OsString| Error::Invalid(format!("the directory {} is not UTF-8; rename it", path.display()));
        path.into_os_string().into_string().map_err(told)
    };
    let named = job.cwd.clone();
    if job.spec.policy.workspace.is_some() {
        let inside = named.map_or(Ok(String::new()), text)?;
        return workspace::inside_as_named(&inside).map(str::to_owned).map_err(Error::Invalid);
    }
    let here = || std::env::current_dir().map_err(|e| Error::io_with("finding the working directory", "name one for the job", e));
    match named {
        Some(path) if path.is_absolute() => text(path),
        Some(path) => text(here()?.join(path)),
        None => text(here()?),
    }
}
