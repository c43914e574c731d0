//! What each line of a crontab becomes: a schedule, a variable for the lines below it, or what
//! cannot be done and why.
//!
//! Pure: the users of the machine and the schedules of the file are given. The name of a schedule
//! comes from its line, so the same crontab gives the same names, and a second import changes
//! nothing. A schedule that exists is never changed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::parse::crontab::{CronJob, Entry, What};
use crate::cli::parse::options::{JobOptions, Surroundings};
use crate::cli::parse::variables::Variables;
use crate::clock;
use crate::error::Result;
use crate::host::users::User;
use crate::job::calendar::Origin;
use crate::job::{Argv, Calendar, Template, cron_line};
use crate::store::schedule::{NewSchedule, Schedule};

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// A schedule that does not exist yet.
    Add(Box<NewSchedule>),
    /// It exists, exactly so.
    Unchanged(String),
    /// A schedule of this name exists and is another one; it stays as it is.
    Differs(String),
    /// It holds for the lines below.
    Variable(String),
    Unsupported(String),
}

/// A line, and what becomes of it.
pub struct Row {
    pub entry: Entry,
    pub fate: Fate,
    /// When it is due first, in milliseconds UTC, and in words.
    pub next: Option<(i64, String)>,
    pub notes: Vec<String>,
}

impl Row {
    /// As in JSON.
    pub fn action(&self) -> &'static str {
        match self.fate {
            Fate::Add(_) => "add",
            Fate::Unchanged(_) => "unchanged",
            Fate::Differs(_) => "differs",
            Fate::Variable(_) => "variable",
            Fate::Unsupported(_) => "unsupported",
        }
    }

    pub fn name(&self) -> Option<&str> {
        match &self.fate {
            Fate::Add(new) => Some(&new.name),
            Fate::Unchanged(name) | Fate::Differs(name) => Some(name),
            Fate::Variable(_) | Fate::Unsupported(_) => None,
        }
    }

    pub fn detail(&self) -> Option<&str> {
        match &self.fate {
            Fate::Variable(text) | Fate::Unsupported(text) => Some(text),
            _ => None,
        }
    }
}

/// What the lines of a crontab are laid over.
pub struct Given<'a> {
    /// Makes a schedule of a name, a cron line, a zone and what it runs, with the options of the
    /// command line.
    pub make: &'a dyn Fn(&str, &str, &str, Template) -> NewSchedule,
    pub queue: Option<String>,
    /// By name.
    pub existing: BTreeMap<String, Schedule>,
    pub around: &'a Surroundings,
    pub now_ms: i64,
    pub users: Vec<User>,
    /// The user who imports.
    pub uid: u32,
}

/// The state of cron while it reads a crontab.
pub struct Plan<'a> {
    given: Given<'a>,
    zone: String,
    shell: String,
    home: Option<String>,
    jitter_ms: i64,
    env: BTreeMap<String, String>,
    /// The names of the lines above, with their numbers.
    named: BTreeMap<String, usize>,
}

impl<'a> Plan<'a> {
    /// Begins before the first line, with the zone and the jitter of the command line.
    pub fn new(given: Given<'a>, zone: String, jitter_ms: i64) -> Self {
        let (shell, env, named) = ("/bin/sh".to_owned(), BTreeMap::new(), BTreeMap::new());
        Self { given, zone, shell, home: None, jitter_ms, env, named }
    }

    /// Decides about the next line.
    pub fn row(&mut self, entry: Entry) -> Row {
        let (fate, next, notes) = match &entry.what {
            What::Wrong(why) => (Fate::Unsupported(why.clone()), None, Vec::new()),
            What::Variable { name, value } => {
                (self.variable(name, value).map_or_else(Fate::Unsupported, Fate::Variable), None, Vec::new())
            }
            What::Job(job) => match self.job(job, entry.line) {
                Ok((fate, next)) => (fate, next, cron_line::surprises(&job.cron)),
                Err(why) => (Fate::Unsupported(why), None, Vec::new()),
            },
        };
        Row { entry, fate, next, notes }
    }

    /// Returns what it does to the lines below.
    fn variable(&mut self, name: &str, value: &str) -> Result<String, String> {
        match name {
            "MAILTO" if value.is_empty() => return Ok("no mail is sent, as always".to_owned()),
            "MAILTO" => {
                return Err(
                    "tenure sends no mail by itself; a hook does: on_failure below [hooks] in the configuration, for all jobs; \
                            the output of each run is kept (tenure logs)"
                        .to_owned(),
                );
            }
            "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => {
                return Ok("it is about mail, and none is sent".to_owned());
            }
            "LOGNAME" => return Ok("it is ignored, as by cron".to_owned()),
            "CRON_TZ" => {
                clock::zone(value)?;
                self.zone = value.to_owned();
                return Ok(format!("the lines below are read in the zone {value}"));
            }
            "RANDOM_DELAY" => {
                let minutes: i64 = value.parse().ok().filter(|n| (0..=1_440).contains(n)).ok_or("it is 0 to 1440 minutes")?;
                self.jitter_ms = minutes * 60_000;
                return Ok(format!("each job below starts up to {minutes} minutes later (--jitter {minutes}m)"));
            }
            "SHELL" => value.clone_into(&mut self.shell),
            "HOME" => self.home = Some(value.to_owned()),
            _ => {}
        }
        crate::job::check::variable(name, value.as_bytes())?;
        self.env.insert(name.to_owned(), value.to_owned());
        Ok("it is set for the jobs below".to_owned())
    }

    fn job(&mut self, job: &CronJob, line: usize) -> Result<(Fate, Option<(i64, String)>), String> {
        let name = job.name();
        if let Some(earlier) = self.named.insert(name.clone(), line) {
            return Err(format!("it is the same as line {earlier}, and would be the same schedule"));
        }
        let new = self.schedule(job, &name)?;
        let origin = Origin::new(&name, self.given.existing.get(&name).map_or(self.given.now_ms, |one| one.created_at));
        let calendar = Calendar::of(&new.cron, clock::zone(&new.zone)?, origin)?;
        let next = calendar.next(self.given.now_ms).map(|at| (at, calendar.text(at)));
        let fate = match self.given.existing.get(&name) {
            None => Fate::Add(Box::new(new)),
            Some(one) if (&one.cron, &one.zone, &one.template) == (&new.cron, &new.zone, &new.template.to_json()) => {
                Fate::Unchanged(name)
            }
            Some(_) => Fate::Differs(name),
        };
        Ok((fate, next))
    }

    fn schedule(&self, job: &CronJob, name: &str) -> Result<NewSchedule, String> {
        let user = self.user(job)?;
        let home = self.home.clone().or_else(|| user.as_ref().map(|user| user.home.clone()));
        let is_own = job.user.is_none() || self.own().is_some_and(|own| Some(&own.name) == job.user.as_ref());
        let options = JobOptions {
            label: Some(name.to_owned()),
            queue: self.given.queue.clone(),
            cwd: home.map(PathBuf::from),
            user: job.user.clone().filter(|_| !is_own),
            variables: Variables { env: self.env.clone().into_iter().collect(), pass_env: Vec::new() },
            ..JobOptions::default()
        };
        let template = options.template(self.command(job)?, self.given.around)?;
        let new = (self.given.make)(name, &job.cron, &self.zone, template);
        Ok(NewSchedule { jitter_ms: self.jitter_ms, ..new })
    }

    fn own(&self) -> Option<&User> {
        self.given.users.iter().find(|user| user.uid == self.given.uid)
    }

    fn user(&self, job: &CronJob) -> Result<Option<User>, String> {
        let Some(name) = &job.user else { return Ok(self.own().cloned()) };
        let found = self.given.users.iter().find(|user| &user.name == name);
        let user = found.ok_or_else(|| format!("the user {name:?} does not exist here; a line of a system crontab names one"))?;
        match self.given.uid == 0 || user.uid == self.given.uid {
            true => Ok(Some(user.clone())),
            false => Err(format!("only a worker of root can run jobs as {name}; import it as root")),
        }
    }

    /// The shell of the crontab runs the line; standard input comes from a pipe.
    fn command(&self, job: &CronJob) -> Result<Argv, String> {
        let (shell, line) = (self.shell.as_str(), job.command.as_str());
        let words: Vec<&str> = match &job.stdin {
            None => vec![shell, "-c", line],
            Some(input) => vec!["/bin/sh", "-c", "printf %s \"$2\" | \"$0\" -c \"$1\"", shell, line, input],
        };
        Argv::new(words.into_iter().map(|word| word.as_bytes().to_vec()).collect()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::crontab;
    use crate::job::schedule::{CatchUp, Overlap};

    fn made(name: &str, cron: &str, zone: &str, template: Template) -> NewSchedule {
        let (name, cron, zone, boot_id) = (name.to_owned(), cron.to_owned(), zone.to_owned(), "b".to_owned());
        let (catch_up, overlap) = (CatchUp::Latest, Overlap::Skip);
        NewSchedule { name, cron, zone, catch_up, catch_up_max: 1, overlap, jitter_ms: 0, boot_id, template }
    }

    /// Imports as a user.
    fn rows(text: &str, uid: u32) -> Vec<Row> {
        let around = Surroundings {
            now: crate::cli::parse::time::here(1_000),
            cwd: PathBuf::from("/here"),
            env: BTreeMap::new(),
            found: Vec::new(),
            draw: || "x".into(),
        };
        let user = |name: &str, uid| User { name: name.into(), uid, home: format!("/home/{name}"), shell: "/bin/sh".into() };
        let users = vec![user("root", 0), user("ann", 7)];
        let given = Given { make: &made, queue: None, existing: BTreeMap::new(), around: &around, now_ms: 1_000, users, uid };
        let mut plan = Plan::new(given, "UTC".into(), 0);
        crontab::read(text.as_bytes(), true).into_iter().map(|entry| plan.row(entry)).collect()
    }

    /// Returns the user and the directory of the job of a line, or why there is none.
    fn of_line(text: &str, uid: u32) -> Result<(Option<String>, String), String> {
        match rows(text, uid).pop().expect("a line").fate {
            Fate::Add(new) => Ok((new.template.policy.user, new.template.placement.cwd)),
            Fate::Unsupported(why) => Err(why),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn only_root_imports_the_lines_of_other_users() {
        let (of_ann, of_root) = ("@daily ann x", "@daily root x");
        assert_eq!(of_line(of_ann, 7), Ok((None, "/home/ann".into())), "her own line needs no other user");
        assert_eq!(of_line(of_ann, 0), Ok((Some("ann".into()), "/home/ann".into())));
        assert_eq!(of_line(of_root, 0), Ok((None, "/home/root".into())));
        assert!(of_line(of_root, 7).unwrap_err().contains("import it as root"));
        assert!(of_line("@daily bob x", 0).unwrap_err().contains("the user \"bob\" does not exist"));
        assert!(of_line("@daily ann x", 8).unwrap_err().contains("import it as root"), "also for one who has no line");
    }

    #[test]
    fn a_variable_holds_for_the_lines_below_it() {
        let text =
            "@daily ann a\nSHELL=/bin/bash\nHOME=/srv\nRANDOM_DELAY=9\nCRON_TZ=Asia/Tokyo\n@daily ann b\nMAILTO=x@example.org";
        let all = rows(text, 7);
        let of = |at: usize| match &all[at].fate {
            Fate::Add(new) => {
                (new.template.command.to_json(), new.template.placement.cwd.as_str(), new.jitter_ms, new.zone.as_str())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(of(0), (r#"["/bin/sh","-c","a"]"#.into(), "/home/ann", 0, "UTC"));
        assert_eq!(of(5), (r#"["/bin/bash","-c","b"]"#.into(), "/srv", 540_000, "Asia/Tokyo"));
        assert!(all[6].detail().is_some_and(|why| why.contains("a hook does")));
    }
}
