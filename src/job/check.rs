//! Whether a job may be added: the rules of acceptance, once for every way in.
//!
//! [`of_description`] is for what a person or a program describes: the command line, a line of
//! `add --from`, a schedule, a stage of a pipeline, the library. [`of_row`] is the part of it that
//! holds for every job that is inserted, also one that tenure itself adds, whose environment has
//! names of tenure. The guards of the schema repeat what SQL can check, for every other client.

use std::collections::BTreeMap;
use std::fmt;

use super::limits::{
    AFTER_MAX, ARGUMENT_BYTES_MAX, ATTEMPTS_MAX, CWD_BYTES_MAX, LANE_LIMIT_MAX, MEMORY_BYTES_MIN, SPEC_BYTES_MAX,
};
use super::names::{self, shorten};
use super::{Argv, NewJob, pool, worker_limits};

/// Prefix of the variables that tenure gives to a job.
pub const RESERVED_PREFIX: &str = "TENURE_";

/// Why a job cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The option of `tenure add` that is wrong, without its dashes; `None` if the text names it,
    /// or if it is not a single one.
    pub option: Option<&'static str>,
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.option {
            Some(option) => write!(f, "{option}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

fn of(option: &'static str) -> impl Fn(String) -> Refusal {
    move |why| Refusal { option: Some(option), why }
}

/// Checks a description at `now_ms` (milliseconds UTC). `secrets` are the names of its secrets,
/// whose values are not in it.
///
/// # Errors
/// The first rule that it breaks.
pub fn of_description<'a>(job: &NewJob, secrets: impl IntoIterator<Item = &'a str>, now_ms: i64) -> Result<(), Refusal> {
    let env = &job.placement.env;
    env.iter().try_for_each(|(name, value)| variable(name, value.as_bytes())).map_err(of("env"))?;
    for name in secrets {
        variable_name(name).map_err(of("secret"))?;
        if env.contains_key(name) {
            let why = format!("{name:?} is given both openly and as a secret; omit one of them");
            return Err(Refusal { option: None, why });
        }
    }
    job.placement.label.as_deref().map_or(Ok(()), names::label).map_err(of("label"))?;
    job.policy.user.as_deref().map_or(Ok(()), names::label).map_err(of("user"))?;
    if job.expires_at.is_some_and(|at| at <= now_ms) {
        return Err(of("expires")("it is not in the future; give a later time, or omit it".into()));
    }
    job.policy.memory_bytes.map_or(Ok(()), memory).map_err(of("memory"))?;
    of_row(job)
}

/// Checks what holds for every job that is inserted.
///
/// # Errors
/// The first rule that it breaks.
pub fn of_row(job: &NewJob) -> Result<(), Refusal> {
    let placement = &job.placement;
    names::name(&placement.queue).map_err(of("queue"))?;
    placement.lane.as_deref().map_or(Ok(()), names::name).map_err(of("lane"))?;
    placement.label.as_deref().map_or(Ok(()), names::label_or_empty).map_err(of("label"))?;
    placement.unique_key.as_deref().map_or(Ok(()), names::label).map_err(of("unique"))?;
    if job.lane_limit.is_some_and(|limit| !(1..=LANE_LIMIT_MAX).contains(&limit)) {
        return Err(of("array")(format!("a lane lets 1 to {LANE_LIMIT_MAX} jobs run at once")));
    }
    attempts(placement.max_attempts).map_err(of("retries"))?;
    slots(placement.slots).map_err(of("slots"))?;
    pool::check_uses(&placement.uses).map_err(of("use"))?;
    for (option, at) in [("at", Some(job.available_at)), ("expires", job.expires_at)] {
        if at.is_some_and(|at| at < 0) {
            return Err(of(option)("a time before 1970 is not allowed".into()));
        }
    }
    directory(&placement.cwd).map_err(of("cwd"))?;
    for (name, value) in &placement.env {
        is_name(name).and_then(|()| no_nul(name, value.as_bytes())).map_err(of("env"))?;
    }
    job.policy.check_ranges().map_err(|why| Refusal { option: None, why })?;
    dependencies(job).map_err(of("after"))?;
    fits(&job.command, &placement.env, &BTreeMap::new()).map_err(|why| Refusal { option: None, why })
}

/// Checks a number of attempts.
///
/// # Errors
/// The limit of the retries.
pub fn attempts(attempts: u32) -> Result<(), String> {
    match (1..=ATTEMPTS_MAX).contains(&attempts) {
        true => Ok(()),
        false => Err(format!("a job has 0 to {} retries", ATTEMPTS_MAX - 1)),
    }
}

/// Checks how many slots a job takes.
///
/// # Errors
/// The limit.
pub fn slots(slots: u32) -> Result<(), String> {
    worker_limits::check_slots(usize::try_from(slots).unwrap_or(usize::MAX))
}

/// Returns the attempts of a job that is retried so often.
///
/// # Errors
/// As [`attempts`].
pub fn attempts_of(retries: u32) -> Result<u32, String> {
    let number = retries.saturating_add(1);
    attempts(number).map(|()| number)
}

/// Checks whether a program can start with so much memory.
///
/// # Errors
/// It cannot.
pub fn memory(bytes: u64) -> Result<(), String> {
    match bytes >= MEMORY_BYTES_MIN {
        true => Ok(()),
        false => Err(format!("no program starts in {bytes} bytes; give 1M or more, or omit it")),
    }
}

/// Checks a variable that a person gives to a job.
///
/// # Errors
/// It has a name of tenure, or no program can be given it.
pub fn variable(name: &str, value: &[u8]) -> Result<(), String> {
    variable_name(name)?;
    no_nul(name, value)?;
    if name.len() + 1 + value.len() > ARGUMENT_BYTES_MAX {
        let shown = shorten(name);
        return Err(format!("{shown:?} has {} bytes, {ARGUMENT_BYTES_MAX} at most; put the value in a file", value.len()));
    }
    Ok(())
}

/// Checks the name of such a variable.
///
/// # Errors
/// It is not a name, or one of tenure.
pub fn variable_name(name: &str) -> Result<(), String> {
    is_name(name)?;
    match name.starts_with(RESERVED_PREFIX) {
        true => Err(format!(
            "{:?}: names that begin with {RESERVED_PREFIX} are given to a job by tenure; choose another",
            shorten(name)
        )),
        false => Ok(()),
    }
}

fn is_name(name: &str) -> Result<(), String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!("{:?} is not the name of a variable; a name is not empty and has no =", shorten(name))),
        false => Ok(()),
    }
}

fn no_nul(name: &str, value: &[u8]) -> Result<(), String> {
    match value.contains(&0) {
        true => Err(format!("the value of {:?} contains a NUL byte, which no program can be given", shorten(name))),
        false => Ok(()),
    }
}

fn directory(path: &str) -> Result<(), String> {
    match path.len() {
        n if n > CWD_BYTES_MAX => {
            Err(format!("{:?} has {n} bytes; the limit is {CWD_BYTES_MAX}; give a shorter path", shorten(path)))
        }
        _ => names::no_nul(path),
    }
}

fn dependencies(job: &NewJob) -> Result<(), String> {
    let mut needs = BTreeMap::new();
    for (id, need) in &job.after {
        if needs.insert(id, need).is_some_and(|other| other != need) {
            return Err(format!("job {id} is named twice, with different conditions; omit one of them"));
        }
    }
    match needs.len() {
        n if n > AFTER_MAX => Err(format!("a job waits for at most {AFTER_MAX} others; it names {n}")),
        _ => Ok(()),
    }
}

/// Checks the size of argv and environment together, which the kernel limits: now rather than at
/// the start. `secrets` are the values of the job's secrets, where they are known.
///
/// # Errors
/// The size, the limit, and the remedy.
pub fn fits(command: &Argv, env: &BTreeMap<String, String>, secrets: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let argv: usize = command.arguments().iter().map(|argument| argument.len() + 1).sum();
    let open: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let secret: usize = secrets.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let (bytes, with) = (argv + open + secret, if secrets.is_empty() { "" } else { ", with its secrets," });
    match bytes > SPEC_BYTES_MAX {
        true => Err(format!(
            "command and environment{with} have {bytes} bytes, at most {SPEC_BYTES_MAX}; put data in a file or use --stdin"
        )),
        false => Ok(()),
    }
}
