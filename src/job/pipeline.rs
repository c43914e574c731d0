//! A pipeline: named stages, each with the description of a job and its transitions.
//!
//! A [`Pipeline`] value is valid: its transitions lead to existing stages, and each stage can be
//! reached. So all errors are reported when it is applied, and the worker that advances a task only
//! has to evaluate [`Pipeline::follows`].
//!
//! ```text
//! task start ──▶ stage ──done────▶ on_success, or the task is done
//!                  │ ▲ └──failed──▶ on_failure (forward, or back), or the task has failed
//!                  │ └─ at most max_rounds times into each stage
//!                  └──cancelled, or the task was asked to stop ──▶ the task is cancelled
//! ```
//!
//! Deliberately absent: existing jobs and tasks (see [`crate::store`]), and TOML (the command line
//! reads it).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::argv::Argv;
use super::check::fits;
use super::hook::Hooks;
use super::limits::{ARGUMENT_BYTES_MAX, PARAMS_MAX, ROUNDS_MAX, ROUNDS_MAX_DEFAULT, STAGES_MAX};
use super::names;
use super::spec::NewJob;
use super::state::State;
use super::template::{PARAM_PREFIX, Template, is_param_name};

/// The variables that tell a job its task and stage.
pub const TASK_VARIABLE: &str = "TENURE_TASK";
pub const STAGE_VARIABLE: &str = "TENURE_STAGE";

/// Values for the parameters of a task, by name.
pub type Params = BTreeMap<String, String>;

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    Running,
    Done,
    Failed,
    Cancelled,
}

impl TaskState {
    pub const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The word in the file and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub job: Template,
    /// The stage that follows when its job is done; `None`: the task is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// The stage that follows when its job has failed; `None`: the task has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// A stop request waits until it ends by itself.
    #[serde(default)]
    pub critical: bool,
    /// Run at the end of the task, in any case, once this stage was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<Argv>,
}

/// A valid description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    start: String,
    max_rounds: u32,
    /// Parameters that must be given although no command uses them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    params: BTreeSet<String>,
    /// Commands that tell of the end of a task.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    hooks: Hooks,
    stages: BTreeMap<String, Stage>,
}

/// What a task does when the job of its stage has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows<'a> {
    /// It enters this stage.
    Stage(&'a str),
    /// It ends, with a text for a person if it was not successful.
    End(TaskState, Option<String>),
}

impl Pipeline {
    /// Checks a description. `max_rounds` `None`: [`ROUNDS_MAX_DEFAULT`].
    ///
    /// # Errors
    /// What is wrong with it, and the remedy.
    pub fn new(
        start: Option<String>,
        max_rounds: Option<u32>,
        params: BTreeSet<String>,
        stages: BTreeMap<String, Stage>,
    ) -> Result<Self, String> {
        let start = start.ok_or("start is missing; name the stage that a task begins with, as in start = \"build\"")?;
        let max_rounds = max_rounds.unwrap_or(ROUNDS_MAX_DEFAULT);
        let pipeline = Self { start, max_rounds, params, hooks: Hooks::default(), stages };
        pipeline.check()?;
        Ok(pipeline)
    }

    /// Adds commands that tell of the end of a task.
    pub fn with_hooks(self, hooks: Hooks) -> Self {
        Self { hooks, ..self }
    }

    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Parses the JSON of the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let pipeline: Self = serde_json::from_str(text).map_err(|e| format!("the description of the pipeline: {e}"))?;
        pipeline.check()?;
        Ok(pipeline)
    }

    /// Returns the JSON for the file: equal descriptions have equal texts.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a pipeline is always JSON")
    }

    pub fn start(&self) -> &str {
        &self.start
    }

    /// Returns how often a stage may be entered.
    pub fn max_rounds(&self) -> u32 {
        self.max_rounds
    }

    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.get(name)
    }

    pub fn stages(&self) -> impl Iterator<Item = (&str, &Stage)> {
        self.stages.iter().map(|(name, stage)| (name.as_str(), stage))
    }

    fn check(&self) -> Result<(), String> {
        if self.stages.is_empty() {
            return Err("it has no stage; a stage is a table, such as [pipeline.NAME.stage.build]".into());
        }
        if self.stages.len() > STAGES_MAX {
            return Err(format!("it has {} stages, {STAGES_MAX} at most; make a stage of several commands", self.stages.len()));
        }
        if !(1..=ROUNDS_MAX).contains(&self.max_rounds) {
            return Err(format!("max_rounds: {} is not between 1 and {ROUNDS_MAX}", self.max_rounds));
        }
        if !self.stages.contains_key(&self.start) {
            return Err(format!("start = {:?}: there is no stage of that name; {}", shown(&self.start), self.known()));
        }
        for (name, stage) in &self.stages {
            self.check_stage(name, stage).map_err(|e| format!("stage {:?}: {e}", shown(name)))?;
        }
        let reachable = self.reachable();
        if let Some(lost) = self.stages.keys().find(|name| !reachable.contains(name.as_str())) {
            return Err(format!(
                "stage {:?} cannot be reached from {:?}; lead to it with on_success or on_failure, or remove it",
                shown(lost),
                shown(&self.start)
            ));
        }
        if let Some(wrong) = self.params.iter().find(|name| !is_param_name(name)) {
            return Err(format!("params: {:?} is not a name of a parameter; use letters, digits and _", shown(wrong)));
        }
        let params = self.required().len();
        if params > PARAMS_MAX {
            return Err(format!("it has {params} parameters, {PARAMS_MAX} at most; put data in a file and give its path"));
        }
        Ok(())
    }

    fn check_stage(&self, name: &str, stage: &Stage) -> Result<(), String> {
        names::plain(name).map_err(|why| format!("the name of a stage: {why}"))?;
        for (key, to) in [("on_success", &stage.on_success), ("on_failure", &stage.on_failure)] {
            if let Some(to) = to.as_deref().filter(|to| !self.stages.contains_key(*to)) {
                return Err(format!("{key} = {:?}: there is no stage of that name; {}", shown(to), self.known()));
            }
        }
        if stage.job.placement.unique_key.is_some() {
            return Err(
                "unique: a stage has a job of its own; give the task a key (task start --key), or the stage a lane".into()
            );
        }
        stage.job.places().map_err(|e| format!("command: {e}"))?;
        Ok(())
    }

    fn known(&self) -> String {
        const NAMED_MAX: usize = 10;
        let names: Vec<&str> = self.stages.keys().take(NAMED_MAX).map(|name| shown(name)).collect();
        let more = if self.stages.len() > NAMED_MAX { ", ..." } else { "" };
        format!("there are {}{more}", names.join(", "))
    }

    fn reachable(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next = vec![self.start.as_str()];
        while let Some(name) = next.pop() {
            if let Some(stage) = self.stages.get(name).filter(|_| found.insert(name)) {
                next.extend([&stage.on_success, &stage.on_failure].into_iter().filter_map(Option::as_deref));
            }
        }
        found
    }

    /// Returns the parameters that a task must be given.
    pub fn required(&self) -> BTreeSet<String> {
        let places = self.stages.values().filter_map(|stage| stage.job.places().ok()).flatten();
        places.chain(self.params.iter().cloned()).collect()
    }

    /// Returns the optional parameters that a shell line mentions by their variables.
    fn mentioned(&self) -> BTreeSet<String> {
        let of_stage = |stage: &Stage| {
            let policy = &stage.job.policy;
            let prepare = policy.workspace.as_ref().and_then(|workspace| workspace.prepare.as_ref());
            let commands = [Some(&stage.job.command), policy.check.as_ref(), prepare, stage.teardown.as_ref()];
            commands.into_iter().flatten().flat_map(|argv| argv.arguments().iter().flat_map(|a| mentions(a))).collect::<Vec<_>>()
        };
        self.stages.values().flat_map(of_stage).collect()
    }

    /// Checks whether a task may be started with these parameters: none is missing, none is
    /// unknown, and each stage is a command that can be executed. So a task never enters a stage
    /// whose job cannot be added.
    ///
    /// # Errors
    /// What is wrong, with the names.
    pub fn check_params(&self, params: &Params) -> Result<(), String> {
        let required = self.required();
        let missing: Vec<&str> = required.iter().filter(|name| !params.contains_key(*name)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(format!("parameters are missing: {}; give each as -p {}=VALUE", missing.join(", "), missing[0]));
        }
        let mentioned = self.mentioned();
        let unknown = params.keys().find(|name| !required.contains(*name) && !mentioned.contains(*name));
        if let Some(unknown) = unknown {
            let all: Vec<String> = required.union(&mentioned).cloned().collect();
            let all = if all.is_empty() { "it has none".to_owned() } else { format!("it has {}", all.join(", ")) };
            return Err(format!("there is no parameter {:?}; {all}", shown(unknown)));
        }
        for (name, value) in params {
            if value.contains('\0') {
                return Err(format!("the value of the parameter {name} contains a NUL byte, which no program can be given"));
            }
            if PARAM_PREFIX.len() + name.len() + value.len() + 2 > ARGUMENT_BYTES_MAX {
                return Err(format!(
                    "the value of the parameter {name} has {} bytes, which is more than a program can be given; \
                    put it in a file and give its path",
                    value.len()
                ));
            }
        }
        self.stages.keys().try_for_each(|name| self.job(name, 1, params, 0).map(drop).map_err(|e| format!("stage {name}: {e}")))
    }

    /// Returns the job of a stage, for a task at `now_ms` (milliseconds UTC).
    ///
    /// # Errors
    /// The stage does not exist, or its command could never be executed with these values.
    pub fn job(&self, name: &str, task: i64, params: &Params, now_ms: i64) -> Result<NewJob, String> {
        let stage = self.stages.get(name).ok_or_else(|| format!("there is no stage {:?}", shown(name)))?;
        let mut job = stage.job.fill(params, now_ms)?;
        job.placement.env.extend(variables(name, task));
        fits(&job.command, &job.placement.env, &BTreeMap::new())?;
        job.task = Some(task);
        Ok(job)
    }

    /// Decides what follows the end of the job of a stage. `stopped`: the text of the task's stop
    /// request; `why`: the job's own text for its end; `rounds`: how often a stage was entered.
    pub fn follows(
        &self,
        stage: &str,
        how: State,
        stopped: Option<&str>,
        why: &str,
        rounds: impl Fn(&str) -> u32,
    ) -> Follows<'_> {
        let words = |what: &str| {
            Some(if why.is_empty() { format!("stage {stage} {what}") } else { format!("stage {stage} {what}: {why}") })
        };
        if let Some(why) = stopped {
            return Follows::End(TaskState::Cancelled, Some(why.to_owned()));
        }
        let Some(here) = self.stages.get(stage) else {
            return Follows::End(TaskState::Failed, Some(format!("the pipeline has no stage {stage:?} any more")));
        };
        let (to, otherwise) = match how {
            State::Done => (&here.on_success, Follows::End(TaskState::Done, None)),
            State::Failed => (&here.on_failure, Follows::End(TaskState::Failed, words("failed"))),
            State::Cancelled | State::Queued | State::Running => {
                return Follows::End(TaskState::Cancelled, words("was cancelled"));
            }
        };
        match to {
            None => otherwise,
            Some(to) if rounds(to) >= self.max_rounds => {
                Follows::End(TaskState::Failed, Some(self.too_often(to, &words(how.as_str()).unwrap_or_default())))
            }
            Some(to) => Follows::Stage(to),
        }
    }

    /// Returns the text for a task that would enter a stage too often.
    pub fn too_often(&self, stage: &str, before: &str) -> String {
        let times = if self.max_rounds == 1 { "once".to_owned() } else { format!("{} times", self.max_rounds) };
        format!("{before}; stage {stage} was entered {times}, which is max_rounds")
    }
}

/// Returns the variables of a job of a task besides the parameters.
pub fn variables(stage: &str, task: i64) -> [(String, String); 2] {
    [(TASK_VARIABLE.to_owned(), task.to_string()), (STAGE_VARIABLE.to_owned(), stage.to_owned())]
}

/// Returns a name for an error, shortened if it is long.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(60)]
}

/// Returns the names after `TENURE_PARAM_` in a text.
fn mentions(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    text.split(PARAM_PREFIX).skip(1).map(name).filter(|name| is_param_name(name)).collect()
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
