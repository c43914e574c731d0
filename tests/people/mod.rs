//! Several users of one worker: each runs jobs of its own, and none reads, ends, outruns or fills what is another one's.
//!
//! The users are those that every machine has; none of them can log in.

mod hostile;
mod jobs;
mod kills;
mod limits;
mod matrix;
mod shortages;

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::Value;

use crate::support::{Nest, Said, Worker, copy_program, said, until};

/// Whether this test can be one of several users.
fn can_be_several(what: &str) -> bool {
    crate::faces::said::is_root(what)
}

/// Two users, one who is a member of the group of operators, and that group.
const ANN: &str = "daemon";
const BOB: &str = "bin";
const OPERATOR: &str = "mail";
const OPERATORS: &str = "47110";

fn uid(user: &str) -> u32 {
    let text = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap_or_else(|| panic!("no user {user}"));
    line.split(':').nth(2).unwrap().parse().unwrap()
}

fn connected(socket: &Path) -> Option<OwnedFd> {
    let client =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
            .unwrap();
    rustix::net::connect(&client, &SocketAddrUnix::new(socket).unwrap()).is_ok().then_some(client)
}

/// The file of root, the system worker's program, and a place where its socket is.
pub struct Town {
    pub nest: Nest,
    program: PathBuf,
}

impl Town {
    pub fn new() -> Self {
        let nest = Nest::new();
        // Users reach the program and the socket, and nothing else.
        std::fs::set_permissions(nest.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = nest.file("tenure");
        copy_program(env!("CARGO_BIN_EXE_tenure"), &program);
        Self { nest, program }
    }

    pub fn socket(&self) -> PathBuf {
        self.nest.file("run").join("system.sock")
    }

    /// The system worker, with settings such as `PEOPLE_MAX_QUEUED=3`.
    pub fn work(&self, args: &[&str], settings: &[(&str, &str)]) -> Worker {
        self.work_by(&[], args, settings)
    }

    /// The same, executed by another program.
    pub fn work_by(&self, program: &[&str], args: &[&str], settings: &[(&str, &str)]) -> Worker {
        let socket = self.socket();
        let mut env = vec![("TENURE_PEOPLE_SOCKET".to_owned(), socket.into_os_string())];
        env.extend(settings.iter().map(|(name, value)| (format!("TENURE_{name}"), value.into())));
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_os_str())).collect();
        let worker = self.nest.work_by(program, &[&["--system"], args].concat(), &env);
        // A worker that was killed has left its own.
        until("the worker to listen", || connected(&self.socket()));
        worker
    }

    /// A program as a user, with its groups, and nothing of this process.
    pub fn command(&self, user: &str, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        let uid = uid(user).to_string();
        command.args(["--reuid", &uid, "--regid", &uid]);
        if user == OPERATOR {
            command.args(["--groups", OPERATORS])
        } else {
            command.arg("--clear-groups")
        };
        command.arg(program).args(args).current_dir("/").env_clear().stdin(Stdio::null());
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .env("TZ", "UTC")
            .env("TENURE_PEOPLE_SOCKET", self.socket());
        command
    }

    pub fn tenure(&self, user: &str, args: &[&str]) -> Command {
        self.command(user, self.program.to_str().unwrap(), &[&["--system"], args].concat())
    }

    pub fn say(&self, user: &str, args: &[&str]) -> Said {
        said(self.tenure(user, args).output().unwrap())
    }

    pub fn ok(&self, user: &str, args: &[&str]) -> String {
        let said = self.say(user, args);
        assert_eq!(said.code, 0, "{user}: {args:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    pub fn add(&self, user: &str, args: &[&str]) -> String {
        self.ok(user, &[&["add"], args].concat())
    }

    /// Adds a shell line, waits for its end, and returns what it wrote.
    pub fn run(&self, user: &str, line: &str) -> String {
        let id = self.add(user, &["-c", line]);
        self.say(user, &["wait", &id]);
        self.ok(user, &["logs", &id])
    }

    pub fn show(&self, user: &str, id: &str) -> Value {
        serde_json::from_str(&self.ok(user, &["show", id, "--json"])).unwrap()
    }

    /// The job as root sees it.
    pub fn job(&self, id: &str) -> Value {
        self.nest.show(id.parse().unwrap())
    }

    pub fn until_state(&self, id: &str, state: &str) {
        until(&format!("job {id} to be {state}"), || (self.job(id)["state"] == state).then_some(()));
    }
}
