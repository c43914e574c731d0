//! Warns about a command that will not be found, or that is another file for the worker than for
//! the person who adds it.
//!
//! The worker, which has its own `PATH`, starts the job. This only checks; it never fails and never
//! prevents a job from being added: a missing file may exist when the job starts.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cli::face;
use crate::cli::parse::options::Surroundings;
use crate::cli::parse::values;
use crate::cli::view::escape;
use crate::cli::warn::new_queues::{NewQueues, Queues};
use crate::cli::warn::sound::Sound;
use crate::cli::warn::too_wide;
use crate::host::lock::Holder;
use crate::job::{Argv, NewJob, Placement, Policy, Template, shell_line};
use crate::place::Place;
use crate::run::unexecutable::{self, PATH_DEFAULT};
use crate::store::Store;

/// The usual `PATH` of a worker, if it cannot be queried.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most warnings that are printed one by one.
const TOLD_MAX: usize = 10;
/// Most warnings that are told apart, which are kept in memory.
const COUNTED_MAX: usize = 10_000;

/// How the job is described, for warnings that name a part of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellBy {
    /// `-c LINE`.
    Option,
    /// The key `shell`, of a line of `add --from` or of a stage.
    Key,
}

/// What is checked of a job.
struct Checked<'a> {
    command: &'a Argv,
    cwd: &'a str,
    /// Its `PATH`.
    path: Option<&'a str>,
    policy: &'a Policy,
    /// Other jobs come first, and may create what is missing now.
    is_later: bool,
    /// The command has parameters.
    has_places: bool,
}

/// The worker that will start the job.
struct Theirs {
    path: OsString,
    /// It was queried; otherwise this is the usual value.
    is_known: bool,
    /// It belongs to this user, so it cannot reach what this process cannot.
    is_ours: bool,
}

/// Warnings about the jobs of one command; each is printed once.
pub struct Warnings<'a> {
    place: &'a Place,
    queues: Queues,
    new_queues: NewQueues,
    around: &'a Surroundings,
    shell_by: ShellBy,
    theirs: Option<Theirs>,
    sound: Sound,
    told: BTreeSet<String>,
    /// What is printed later.
    kept: Option<Vec<String>>,
}

impl<'a> Warnings<'a> {
    pub fn new(store: &'a Store, around: &'a Surroundings, shell_by: ShellBy) -> Self {
        Self::with(store.place(), Queues::In(store.clone()), around, shell_by)
    }

    /// Without an open file: checks a job that is given by options while the worker adds it. What
    /// is found is kept for [`Warnings::say`].
    pub fn kept(place: &'a Place, around: &'a Surroundings, job: &NewJob) -> Self {
        let kept = Some(Vec::new());
        let mut warnings = Self { kept, ..Self::with(place, Queues::Told(None), around, ShellBy::Option) };
        warnings.check_but_queue("", job, false);
        warnings
    }

    fn with(place: &'a Place, queues: Queues, around: &'a Surroundings, shell_by: ShellBy) -> Self {
        let (new_queues, sound) = (NewQueues::default(), Sound::default());
        Self { place, queues, new_queues, around, shell_by, theirs: None, sound, told: BTreeSet::new(), kept: None }
    }

    /// Prints what was kept, after what is to be said of the queue.
    pub fn say(mut self, queues: &Queues, job: &NewJob) {
        let kept = self.kept.take().unwrap_or_default();
        if let Some(text) = self.new_queues.check(queues, &job.placement.queue) {
            self.tell("", text);
        }
        if let Some(text) = too_wide::check(self.place, &job.placement) {
            self.tell("", text);
        }
        kept.iter().for_each(|text| face::say(text));
    }

    /// Checks a job. `of`: its name, such as `line 3: `.
    pub fn check(&mut self, of: &str, job: &NewJob) {
        self.check_after(of, job, false);
    }

    /// Like [`Warnings::check`]; `is_later`: jobs that are not in it come before it.
    pub fn check_after(&mut self, of: &str, job: &NewJob, is_later: bool) {
        self.check_placement(of, &job.placement);
        self.check_but_queue(of, job, is_later);
    }

    fn check_but_queue(&mut self, of: &str, job: &NewJob, is_later: bool) {
        self.check_retries(of, job.placement.max_attempts, &job.policy);
        let path = job.placement.env.get("PATH").map(String::as_str);
        let (is_later, has_places) = (is_later || !job.after.is_empty(), false);
        self.check_command(
            of,
            &Checked { command: &job.command, cwd: &job.placement.cwd, path, policy: &job.policy, is_later, has_places },
        );
    }

    /// Checks the description of later jobs.
    pub fn check_template(&mut self, of: &str, job: &Template, is_later: bool) {
        self.check_placement(of, &job.placement);
        self.check_retries(of, job.placement.max_attempts, &job.policy);
        let path = job.placement.env.get("PATH").map(String::as_str);
        let has_places = job.has_places;
        self.check_command(
            of,
            &Checked { command: &job.command, cwd: &job.placement.cwd, path, policy: &job.policy, is_later, has_places },
        );
    }

    /// Prints how many warnings were not printed one by one.
    pub fn end(self) {
        if self.told.len() > TOLD_MAX {
            let at_least = if self.told.len() == COUNTED_MAX { "at least " } else { "" };
            face::say(&format!("warning: {at_least}{} more of this kind", self.told.len() - TOLD_MAX));
        }
    }

    fn check_placement(&mut self, of: &str, placement: &Placement) {
        if let Some(text) = self.new_queues.check(&self.queues, &placement.queue) {
            self.tell(of, text);
        }
        if let Some(text) = too_wide::check(self.place, placement) {
            self.tell(of, text);
        }
    }

    /// Checks only whether what is to be retried can be.
    pub fn check_retries(&mut self, of: &str, max_attempts: u32, policy: &Policy) {
        if policy.retry_on.is_some() && max_attempts == 1 {
            let (retry_on, retries) = match self.shell_by {
                ShellBy::Option => ("--retry-on", "--retries 1"),
                ShellBy::Key => ("retry_on", "retries"),
            };
            self.tell(of, format!("{retry_on} alone retries nothing; give {retries} too"));
        }
    }

    fn check_command(&mut self, of: &str, job: &Checked<'_>) {
        let workspace = job.policy.workspace.as_ref();
        if workspace.is_none()
            && !job.is_later
            && let Some(why) = self.directory_fault(job)
        {
            return self.tell(of, format!("the job's directory {}: {why}", shown(Path::new(job.cwd))));
        }
        let prepare = workspace.and_then(|workspace| workspace.prepare.as_ref());
        let all = [("", Some(job.command)), ("check: ", job.policy.check.as_ref()), ("prepare: ", prepare)];
        for (what, argv) in all.into_iter().filter_map(|(what, argv)| Some((what, argv?))) {
            if job.has_places && argv.arguments()[0].contains(&b'{') {
                continue;
            }
            if let Some(text) = self.warning(job, argv) {
                self.tell(of, format!("{what}{text}"));
            }
        }
    }

    fn tell(&mut self, of: &str, text: String) {
        if self.told.len() < COUNTED_MAX && self.told.insert(text.clone()) && self.told.len() <= TOLD_MAX {
            let text = format!("warning: {of}{text}");
            match &mut self.kept {
                Some(kept) => kept.push(text),
                None => face::say(&text),
            }
        }
    }

    /// Whether a file that this process cannot reach is unreachable for the job too.
    fn theirs(&mut self, job: &Checked<'_>) -> bool {
        self.worker().is_ours && job.policy.user.is_none()
    }

    fn worker(&mut self) -> &Theirs {
        let place = self.place;
        self.theirs.get_or_insert_with(|| Theirs::read(place))
    }

    fn directory_fault(&mut self, job: &Checked<'_>) -> Option<String> {
        let theirs = self.theirs(job);
        if self.sound.has([&[b'd' + u8::from(theirs)], job.cwd.as_bytes()]) {
            return None;
        }
        let may = |path: &Path| !theirs || unexecutable::we_may(path);
        let fault = unexecutable::explain_directory(Path::new(job.cwd), &may);
        if fault.is_none() {
            self.sound.found();
        }
        fault
    }

    /// In a workspace, and where other jobs come first, a command may be missing without a warning.
    fn warning(&mut self, job: &Checked<'_>, argv: &Argv) -> Option<String> {
        if job.policy.workspace.is_some() {
            return self.examined(job, argv);
        }
        let kind = b'p' + u8::from(self.theirs(job)) + 2 * u8::from(job.path.is_some());
        let path = job.path.unwrap_or_default().as_bytes();
        if self.sound.has([&[kind], argv.arguments()[0].as_slice(), job.cwd.as_bytes(), path]) {
            return None;
        }
        let warning = self.examined(job, argv);
        if warning.is_none() && !job.is_later {
            self.sound.found();
        }
        warning
    }

    fn examined(&mut self, job: &Checked<'_>, argv: &Argv) -> Option<String> {
        let name = OsStr::from_bytes(&argv.arguments()[0]);
        let cwd = Path::new(job.cwd);
        let is_ours = self.theirs(job);
        let may = |path: &Path| !is_ours || unexecutable::we_may(path);
        if name.as_bytes().contains(&b'/') {
            if let Some(hint) = Some(name).filter(|name| !cwd.join(name).exists()).and_then(|_| self.hint(argv)) {
                return Some(format!("{}: {hint}", quoted(name)));
            }
            // Relative to a directory that does not exist yet, or to what another job creates.
            if (job.policy.workspace.is_some() && !name.as_bytes().starts_with(b"/")) || job.is_later {
                return None;
            }
            return unexecutable::fault_of(Path::new(name), cwd, &may)
                .map(|fault| format!("{} cannot be executed: {fault}", quoted(name)));
        }
        if let Some(path) = job.path {
            return match find(name, OsStr::new(path), cwd) {
                Some(file) => {
                    unexecutable::fault_of(&file, cwd, &may).map(|fault| format!("{} cannot be executed: {fault}", shown(&file)))
                }
                None => Some(self.not_found(argv, "in no directory of the PATH that the job is given")),
            };
        }
        let here = self.around.env.get(OsStr::new("PATH")).and_then(|path| find(name, path, cwd));
        let theirs = find(name, &self.worker().path.clone(), cwd);
        match (here, theirs) {
            (None, None) => Some(self.not_found(argv, "in no directory of PATH, neither here nor for the worker")),
            (Some(here), None) => Some(self.not_there(name, &here)),
            (Some(here), Some(theirs)) if self.worker().is_known && !is_same(&here, &theirs) => Some(format!(
                "{} is {} here and {} for the worker; write the path that you mean, or give the job -e \"PATH=$PATH\"",
                quoted(name),
                shown(&here),
                shown(&theirs)
            )),
            (_, Some(theirs)) => {
                unexecutable::fault_of(&theirs, cwd, &may).map(|fault| format!("{} cannot be executed: {fault}", shown(&theirs)))
            }
        }
    }

    fn not_found(&self, argv: &Argv, place: &str) -> String {
        let name = quoted(OsStr::from_bytes(&argv.arguments()[0]));
        match self.hint(argv) {
            Some(hint) => format!("there is no program {name}: {hint}"),
            None => format!("there is no program {name}: it is {place}; install it, or write its whole path"),
        }
    }

    fn not_there(&mut self, name: &OsStr, here: &Path) -> String {
        let (name, path) = (quoted(name), shown(here));
        let remedy = format!("write it as {path}, or give the job -e \"PATH=$PATH\"");
        match self.worker().is_known {
            true => format!("{name} is {path} here, and in no directory of the worker's PATH; {remedy}"),
            false => format!("the worker's PATH may not have {name}, which is {path} here; {remedy}"),
        }
    }

    fn hint(&self, argv: &Argv) -> Option<String> {
        match self.shell_by {
            ShellBy::Option => shell_line::hint(argv.arguments()),
            ShellBy::Key => shell_line::hint_for_key(argv.arguments(), |line| serde_json::Value::from(line).to_string()),
        }
    }
}

impl Theirs {
    fn read(place: &Place) -> Self {
        let asked = Holder::read(place).ok().flatten().and_then(|holder| {
            let proc = PathBuf::from(format!("/proc/{}", holder.pid));
            let uid = std::fs::metadata(&proc).ok()?.uid();
            Some((std::fs::read(proc.join("environ")).ok(), uid))
        });
        let is_ours = asked.as_ref().is_none_or(|(_, uid)| *uid == rustix::process::geteuid().as_raw());
        match asked.and_then(|(environment, _)| environment) {
            Some(environment) => {
                let path = environment.split(|b| *b == 0).find_map(|variable| variable.strip_prefix(b"PATH="));
                Self { path: OsString::from_vec(path.unwrap_or(PATH_DEFAULT.as_bytes()).to_vec()), is_known: true, is_ours }
            }
            None => Self { path: USUAL_PATH.into(), is_known: false, is_ours },
        }
    }
}

/// Finds the file that is executed for a name. A relative directory of `PATH` is relative to the
/// job's directory.
fn find(name: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
    let is_executable =
        |file: &PathBuf| std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    let tried = unexecutable::candidates(name.as_bytes(), path.as_bytes());
    tried.into_iter().map(|file| cwd.join(file)).find(is_executable)
}

/// Whether both are one file under any name. The Python of a virtual environment is a link to
/// another one, and uses its own path.
fn is_same(a: &Path, b: &Path) -> bool {
    let dir = |file: &Path| file.parent().and_then(|dir| dir.canonicalize().ok());
    if dir(a) == dir(b) {
        return true;
    }
    let is_of_venv = |file: &Path| dir(file).is_some_and(|dir| dir.parent().is_some_and(|venv| venv.join("pyvenv.cfg").exists()));
    let id = |file: &Path| std::fs::metadata(file).map(|meta| (meta.dev(), meta.ino())).ok();
    id(a).is_some() && id(a) == id(b) && !is_of_venv(a) && !is_of_venv(b)
}

fn quoted(name: &OsStr) -> String {
    format!("{:?}", values::shorten(&name.to_string_lossy()))
}

fn shown(path: &Path) -> String {
    escape::quote_text(&path.to_string_lossy())
}
