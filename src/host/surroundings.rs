//! What survives the end of the worker: the worker detects this about itself, because it decides
//! what TERM means.
//!
//! Under a service manager that stops only the worker, runs continue under their shims and are
//! adopted. If the kernel or a service manager ends everything together with the worker, the runs
//! must be ended cleanly before.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::run::machine::{self, FIRST_PID_NAMESPACE, NamespaceEnd};
use crate::run::orphans;

/// How long the service manager may take to answer whether it is stopping, in milliseconds.
const MANAGER_MS: u64 = 2_000;

/// The surroundings of the worker when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    namespace_end: NamespaceEnd,
    pid_namespace: u64,
    manager: Manager,
}

/// The service manager that has started the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    None,
    System,
    /// Of one user. It ends with the user's last session, unless the user lingers.
    User {
        lingers: bool,
    },
    /// One that is not asked: the program that embeds the worker decides itself what survives.
    NotAsked,
}

impl Surroundings {
    /// Detects the surroundings of a worker that is its whole process.
    pub fn detect() -> Self {
        let manager = match (is_set("INVOCATION_ID"), is_set("MANAGERPID")) {
            (false, _) => Manager::None,
            (true, false) => Manager::System,
            (true, true) => Manager::User { lingers: lingers() },
        };
        Self::under(manager)
    }

    /// Detects those of a worker inside another program, without asking a service manager.
    pub fn detect_embedded() -> Self {
        Self::under(if is_set("INVOCATION_ID") { Manager::NotAsked } else { Manager::None })
    }

    fn under(manager: Manager) -> Self {
        Self { namespace_end: NamespaceEnd::of_ours(), pid_namespace: machine::pid_namespace(), manager }
    }

    /// Explains why nothing survives the worker, as text after "because"; `None` if runs continue
    /// without it.
    pub fn why_nothing_survives(&self) -> Option<&'static str> {
        self.why_by(|| is_stopping(self.manager))
    }

    fn why_by(&self, manager_is_stopping: impl FnOnce() -> bool) -> Option<&'static str> {
        if let Some(why) = self.why_namespace_ends() {
            return Some(why);
        }
        match self.manager {
            Manager::None | Manager::NotAsked => None,
            Manager::User { lingers: false } => Some("its user does not linger (loginctl enable-linger)"),
            Manager::System | Manager::User { lingers: true } => {
                manager_is_stopping().then_some("the service manager is shutting down")
            }
        }
    }
}

impl Surroundings {
    /// Explains why the pid namespace ends with the worker, as text after "because"; `None` if it
    /// stays.
    pub fn why_namespace_ends(&self) -> Option<&'static str> {
        let is_in_container = self.pid_namespace != 0 && self.pid_namespace != FIRST_PID_NAMESPACE;
        match self.namespace_end {
            NamespaceEnd::First => Some("the worker is process 1 of its pid namespace"),
            // The init of a container (tini, dumb-init, a shell) ends when its only child ends. A
            // service manager stays.
            NamespaceEnd::WithInit | NamespaceEnd::Presumed if is_in_container && self.manager == Manager::None => {
                Some("the pid namespace ends with the worker")
            }
            _ => None,
        }
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Whether the service manager of this user stays without a session. True if unknown.
fn lingers() -> bool {
    let uid = rustix::process::getuid().as_raw();
    let state = std::fs::read_to_string(format!("/run/systemd/users/{uid}")).unwrap_or_default();
    let named = state.lines().find_map(|line| line.strip_prefix("NAME=")).map(str::to_owned);
    let Some(name) = named.or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty() && !name.contains('/')) else {
        return true;
    };
    let dir = Path::new("/var/lib/systemd/linger");
    !Path::new("/run/systemd/system").exists() || dir.join(name).exists()
}

/// Asks the service manager whether it is shutting down: with the machine, or, for a user's one,
/// after the user's last session.
pub fn is_stopping_now() -> bool {
    is_stopping(Surroundings::detect().manager)
}

fn is_stopping(manager: Manager) -> bool {
    let mut command = Command::new("systemctl");
    match manager {
        Manager::None | Manager::NotAsked => return false,
        Manager::System => {}
        Manager::User { .. } => drop(command.arg("--user")),
    }
    command.arg("is-system-running").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(child) = orphans::spawn(&mut command) else { return false };
    let Some(mut answer) = child.take_stdout() else { return false };
    let (told, tells) = bounded(1);
    let reading = std::thread::Builder::new().name("systemctl".into()).spawn(move || {
        let mut text = String::new();
        let _no_answer_is_an_empty_one = answer.read_to_string(&mut text);
        let _caller_may_be_gone = told.send(text);
    });
    let text = reading.ok().and_then(|_| tells.recv_timeout(Duration::from_millis(MANAGER_MS)).ok());
    let _ended_already = child.end();
    text.is_some_and(|text| text.trim() == "stopping")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(namespace_end: NamespaceEnd, pid_namespace: u64, manager: Manager) -> Surroundings {
        Surroundings { namespace_end, pid_namespace, manager }
    }

    #[test]
    fn what_survives_the_worker_decides() {
        use Manager::{None, NotAsked, System, User};
        use NamespaceEnd::{First, Open, Presumed, WithInit};
        const OTHER: u64 = 4_026_532_000;
        let (lingers, leaves) = (User { lingers: true }, User { lingers: false });
        let cases = [
            // Relation to process 1, pid namespace, manager, manager is stopping: whether runs
            // survive
            (at(Open, FIRST_PID_NAMESPACE, None), false, true),
            (at(Presumed, FIRST_PID_NAMESPACE, None), false, true),
            (at(Open, FIRST_PID_NAMESPACE, System), false, true),
            (at(Open, FIRST_PID_NAMESPACE, System), true, false),
            (at(Open, FIRST_PID_NAMESPACE, lingers), false, true),
            (at(Open, FIRST_PID_NAMESPACE, lingers), true, false),
            (at(Open, FIRST_PID_NAMESPACE, leaves), false, false),
            // Containers: as process 1, below an init of a container, below systemd, and started by
            // exec.
            (at(First, OTHER, None), false, false),
            (at(First, OTHER, System), false, false),
            (at(First, FIRST_PID_NAMESPACE, None), false, false),
            (at(WithInit, OTHER, None), false, false),
            (at(Presumed, OTHER, None), false, false),
            (at(Open, OTHER, None), false, true),
            (at(Open, OTHER, System), false, true),
            (at(Open, OTHER, System), true, false),
            // Without a usable /proc.
            (at(Open, 0, None), false, true),
            (at(Presumed, 0, None), false, true),
        ];
        for (around, is_stopping, survives) in cases {
            assert_eq!(around.why_by(|| is_stopping).is_none(), survives, "{around:?} {is_stopping}");
            let manager = if around.manager == None { None } else { NotAsked };
            let embedded = Surroundings { manager, ..around.clone() };
            let why = embedded.why_by(|| panic!("{embedded:?}: the service manager was asked"));
            assert_eq!(why, around.why_namespace_ends(), "{embedded:?}");
        }
    }
}
