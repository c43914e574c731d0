//! Converts the options of a job ([`JobOptions`]), from the command line or from a line of
//! `add --from`, to a [`NewJob`].
//!
//! Pure: the current time, the working directory, the environment and the last job's id are passed
//! as [`Surroundings`]. Deliberately absent: secrets and a kept standard input. They are files, so
//! the face writes them before the job is added.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::escape;
use crate::job::hook::Hooks;
use crate::job::limits::AFTER_MAX;
use crate::job::policy::{Policy, Stdin};
use crate::job::{Argv, JobId, Need, NewJob, Placement, Template, Workspace, check, pool, workspace};
pub use crate::parse::job_options::{Endings, JobOptions};
use crate::parse::select::Part;
use crate::parse::{time, values, variables};
use crate::units;

/// The command: an argv, or a shell line.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct Command {
    /// Run LINE with /bin/sh -c, instead of a command
    #[arg(short = 'c', long = "shell", value_name = "LINE")]
    pub shell: Option<OsString>,
    /// The command and its arguments, passed byte for byte
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl Command {
    /// Returns the argv.
    ///
    /// # Errors
    /// It is not exactly one of the two, or could never be executed.
    pub fn argv(&self) -> Result<Argv, String> {
        use std::os::unix::ffi::OsStrExt;
        let bytes = |text: &OsString| text.as_bytes().to_vec();
        let arguments = match (&self.shell, self.command.is_empty()) {
            (Some(_), false) => return Err("give a command after -- or a line with -c, not both".into()),
            (None, true) => return Err("a command is missing; write it after --, or a line for the shell with -c".into()),
            (Some(line), true) => return Argv::shell(bytes(line)).map_err(|e| format!("-c: {e}")),
            (None, false) => self.command.iter().map(bytes).collect(),
        };
        Argv::new(arguments).map_err(|e| e.to_string())
    }

    /// Nothing was given at all.
    pub fn is_empty(&self) -> bool {
        self.shell.is_none() && self.command.is_empty()
    }
}

/// What a job inherits from the place where it is added.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The current time, in the local time zone.
    pub now: Zoned,
    pub cwd: PathBuf,
    pub env: BTreeMap<OsString, OsString>,
    /// The jobs that [`JobOptions::parts_to_find`] names, each with its part.
    pub found: Vec<(Part, Vec<JobId>)>,
    /// Returns a random name.
    pub draw: fn() -> String,
}

impl Surroundings {
    /// What a job of another program inherits: nothing. Its directory is the root unless it names
    /// one.
    #[cfg(any(feature = "web", feature = "mcp"))]
    pub fn nothing(now: Zoned, draw: fn() -> String) -> Self {
        Self { now, cwd: "/".into(), env: BTreeMap::new(), found: Vec::new(), draw }
    }

    /// Returns the value of a variable of this process.
    ///
    /// # Errors
    /// It is not set or is not UTF-8.
    pub fn variable(&self, name: &str) -> Result<String, String> {
        variables::variable(&self.env, name)
    }
}

impl JobOptions {
    /// Returns the parts of selectors whose jobs are looked up in the file.
    pub fn parts_to_find(&self) -> impl Iterator<Item = &Part> {
        let all = [&self.after, &self.after_any, &self.after_failed].into_iter().flatten().flat_map(|selector| &selector.0);
        all.filter(|part| !matches!(part, Part::One(_) | Part::Range(..)))
    }

    /// Whether the running worker can add the jobs: it looks up no job that is not named by number,
    /// and a private file belongs to the process that adds the job until that is done.
    pub fn can_be_handed_over(&self) -> bool {
        self.parts_to_find().next().is_none() && self.secret.is_empty() && self.stdin.as_deref().is_none_or(|file| file != "-")
    }

    /// Whether the local time zone has to be known.
    pub fn names_time_of_day(&self) -> bool {
        self.at.is_some() || self.expires.is_some()
    }

    /// Returns the jobs to add: one, or one for each index of an array.
    ///
    /// # Errors
    /// An invalid value, with the option's name and the remedy.
    pub fn new_jobs(&self, command: Argv, around: &Surroundings) -> Result<Vec<NewJob>, String> {
        self.each_index(self.new_job(command, around)?, around)
    }

    /// Returns the jobs of an array that are like this one, or this one.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub(super) fn each_index(&self, job: NewJob, around: &Surroundings) -> Result<Vec<NewJob>, String> {
        let Some(array) = self.array else {
            if self.stop_on_failure {
                return Err("--stop-on-failure needs --array RANGE; to pause a queue when a job fails: \
                            tenure queue set QUEUE --on-failure pause"
                    .into());
            }
            return Ok(vec![job]);
        };
        if self.unique.is_some() {
            return Err("--unique and --array: jobs of an array cannot share one key; omit one of them".into());
        }
        let (lane, lane_limit) = match (array.limit, &self.lane) {
            (None, lane) => (lane.clone(), None),
            (Some(limit), None) => (Some(format!("array-{}", (around.draw)())), Some(limit)),
            (Some(limit), Some(lane)) => {
                return Err(format!(
                    "--lane and --array with %{limit}: a limit of its own gives the array a lane of its own; leave the % out, and: \
                     tenure lane set {} --limit {limit}",
                    escape::quote_text(&values::shorten(lane))
                ));
            }
        };
        let stop_group = self.stop_on_failure.then(|| group_of(&(around.draw)()));
        let mut of_all = NewJob { lane_limit, stop_group, ..job };
        of_all.placement.lane = lane;
        let of_index = |index| NewJob { array_index: Some(index), ..of_all.clone() };
        Ok((array.first..=array.last).map(of_index).collect())
    }

    fn new_job(&self, command: Argv, around: &Surroundings) -> Result<NewJob, String> {
        let env = self.environment(around)?;
        if self.replace && self.unique.is_none() {
            return Err("--replace needs --unique KEY: it replaces the live job that has the key".into());
        }
        let job = NewJob {
            placement: Placement {
                queue: self.queue.clone().unwrap_or_else(|| "default".into()),
                lane: self.lane.clone(),
                priority: self.priority.unwrap_or(0),
                slots: self.slots.unwrap_or(1),
                uses: pool::each_once(&self.uses)?,
                label: self.label.clone(),
                cwd: self.directory(&around.cwd)?,
                max_attempts: self.retries.unwrap_or(0) + 1,
                unique_key: self.unique.clone(),
                replace: self.replace,
                env,
                user_hold: self.hold,
            },
            policy: self.policy(&around.cwd)?,
            available_at: self.available_at(&around.now)?,
            expires_at: self.expires_at(&around.now)?,
            after: self.waits_for(&around.found)?,
            ..NewJob::new(command)
        };
        let secrets = self.secret.iter().map(String::as_str);
        check::of_description(&job, secrets, around.now.timestamp().as_millisecond()).map_err(|refusal| {
            match refusal.option {
                Some(option) => format!("--{option}: {}", refusal.why),
                None => refusal.why,
            }
        })?;
        Ok(job)
    }

    /// Returns the description from which later jobs like this are added, by a schedule or as a
    /// stage of a pipeline.
    ///
    /// # Errors
    /// As [`JobOptions::new_jobs`], and options that are tied to one moment or to one job.
    pub fn template(&self, command: Argv, around: &Surroundings) -> Result<Template, String> {
        if self.at.is_some() {
            return Err("--at is one instant, and this makes jobs again and again; use --delay".into());
        }
        if self.array.is_some() {
            return Err("--array: let the command add the array (tenure add --array ...)".into());
        }
        if self.stop_on_failure {
            return Err("--stop-on-failure is for the jobs of an array; omit it".into());
        }
        if !self.secret.is_empty() || self.stdin.as_deref().is_some_and(|stdin| stdin == "-") {
            return Err("--secret and --stdin - are removed once no live job needs them, so a later job has none; \
                        let the command read a file that only its user can read"
                .into());
        }
        let expires = self.expires.as_deref().map(units::parse_duration).transpose();
        let expires_in_ms = expires.map_err(|_| "--expires: here it is a duration from the making of each job, such as 1h")?;
        let job = Self { expires: None, delay: None, ..self.clone() }.new_job(command, around)?;
        Template::of(job, self.delay, expires_in_ms)
    }

    pub(super) fn environment(&self, around: &Surroundings) -> Result<BTreeMap<String, String>, String> {
        // Here and not in the parser of the command line, which repeats what was typed.
        self.secret
            .iter()
            .try_for_each(|name| values::parse_passed_name(name).map(drop))
            .map_err(|e| format!("--secret: {e}"))?;
        self.variables.read(&around.env)
    }

    pub(super) fn directory(&self, here: &Path) -> Result<String, String> {
        if self.workspace.is_some() {
            let inside = self.cwd.as_deref().map_or(Ok(String::new()), text_of).map_err(|e| format!("--cwd: {e}"))?;
            return workspace::inside_as_named(&inside).map(str::to_owned).map_err(|e| format!("--{e}"));
        }
        let path = self.cwd.as_deref().map_or_else(|| here.to_owned(), |cwd| here.join(cwd));
        text_of(&path).map_err(|e| format!("--cwd: {e}"))
    }

    pub(super) fn available_at(&self, now: &Zoned) -> Result<i64, String> {
        match (self.delay, &self.at) {
            (Some(_), Some(_)) => Err("--delay and --at: give one of them".into()),
            (Some(0), None) | (None, None) => Ok(0),
            (Some(delay), None) => Ok(now.timestamp().as_millisecond().saturating_add_unsigned(delay)),
            (None, Some(at)) => time::parse_instant(at, now).map_err(|e| format!("--at: {e}")),
        }
    }

    pub(super) fn expires_at(&self, now: &Zoned) -> Result<Option<i64>, String> {
        let Some(text) = &self.expires else {
            return Ok(None);
        };
        time::parse_deadline(text, now).map(Some).map_err(|e| format!("--expires: {e}"))
    }

    fn policy(&self, here: &Path) -> Result<Policy, String> {
        let stdin = match &self.stdin {
            None => None,
            Some(dash) if dash == "-" => None,
            Some(file) => Some(Stdin::File(text_of(&here.join(file)).map_err(|e| format!("--stdin: {e}"))?)),
        };
        Ok(Policy {
            timeout_ms: self.timeout,
            grace_ms: self.grace,
            warn: self.warn,
            idle_timeout_ms: self.idle_timeout,
            backoff_ms: self.backoff,
            retry_on: self.retry_on.clone().map(|e| e.0),
            no_retry_on: self.no_retry_on.clone().map(|e| e.0).unwrap_or_default(),
            max_deferrals: self.max_deferrals,
            memory_bytes: self.memory,
            nice: self.nice,
            user: self.user.clone(),
            log_limit_bytes: self.log_limit,
            stdin,
            check: self.check.clone(),
            workspace: self.wanted_workspace()?,
            hooks: Hooks {
                on_failure: self.on_failure.clone(),
                on_success: self.on_success.clone(),
                on_end: self.on_end.clone(),
            },
            secrets: BTreeMap::new(),
        })
    }

    pub(super) fn wanted_workspace(&self) -> Result<Option<Workspace>, String> {
        match (&self.workspace, &self.prepare) {
            (None, Some(_)) => Err("--prepare goes with --workspace KEY, whose directory it fills".into()),
            (None, None) => Ok(None),
            (Some(key), prepare) => Ok(Some(Workspace { key: key.clone(), prepare: prepare.clone() })),
        }
    }

    pub(super) fn waits_for(&self, found: &[(Part, Vec<JobId>)]) -> Result<Vec<(JobId, Need)>, String> {
        let mut needs = Vec::new();
        for (selectors, need) in [(&self.after, Need::Done), (&self.after_any, Need::Any), (&self.after_failed, Need::Failed)] {
            for part in selectors.iter().flat_map(|selector| &selector.0) {
                needs.extend(ids_of(part, found)?.into_iter().map(|id| (id, need)));
                needs.sort_unstable_by_key(|(id, need)| (*id, need.as_str()));
                needs.dedup();
                if needs.len() > AFTER_MAX {
                    // Too many already; the rest is not read.
                    return Ok(needs);
                }
            }
        }
        Ok(needs)
    }
}

fn ids_of(part: &Part, found: &[(Part, Vec<JobId>)]) -> Result<Vec<JobId>, String> {
    match *part {
        Part::One(id) => Ok(vec![id]),
        Part::Last | Part::Element(..) | Part::Label(_) => {
            let of_part = found.iter().find(|(other, _)| other == part).map(|(_, ids)| ids.clone());
            of_part.ok_or_else(|| "name the jobs to wait for by number".into())
        }
        Part::Range(first, last) if last.0 - first.0 >= AFTER_MAX as i64 => {
            Err(format!("a job waits for at most {AFTER_MAX} others, and {first}-{last} names more"))
        }
        Part::Range(first, last) => Ok((first.0..=last.0).map(JobId).collect()),
    }
}

/// A path as it is recorded in the file.
pub(super) fn text_of(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if text.contains('\0') => Err("the path contains a NUL byte".into()),
        Some(text) => Ok(text.to_owned()),
        None => Err("the path is not UTF-8; rename it, or run the job elsewhere with --cwd".into()),
    }
}

/// Returns the number of a group from its random name.
fn group_of(name: &str) -> i64 {
    let folded =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    i64::try_from(folded >> 1).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
