//! A worker of a nest.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tenure::host::lock::Holder;
use tenure::place::Place;

use crate::support::{Nest, Signal, kill, kill_child, until};

impl Nest {
    /// Starts `tenure work` and waits until it is the worker.
    pub fn work(&self, args: &[&str]) -> Worker {
        self.work_with(args, &[])
    }

    /// As [`Nest::work`], with more in its environment.
    pub fn work_with(&self, args: &[&str], env: &[(&str, &std::ffi::OsStr)]) -> Worker {
        self.work_by(&[], args, env)
    }

    /// As [`Nest::work_with`], executed by another program, which is given the command as its last arguments.
    pub fn work_by(&self, program: &[&str], args: &[&str], env: &[(&str, &std::ffi::OsStr)]) -> Worker {
        let mut all = vec!["work"];
        all.extend(args);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.file("worker.log")).expect("the worker's log");
        let mut command = behind(program, self.tenure(&all));
        command.stdout(Stdio::null()).stderr(log).envs(env.iter().copied());
        if std::env::var_os("RUST_LOG").is_some() {
            command.env("RUST_LOG", std::env::var_os("RUST_LOG").unwrap_or_default());
        }
        let child = command.spawn().expect("the worker starts");
        let mut worker = Worker { child, log: self.file("worker.log") };
        until("the worker to take the lock", || {
            if let Some(status) = worker.child.try_wait().expect("a child") {
                panic!("the worker ended with {status}: {}", worker.said());
            }
            let holder = Holder::read(&Place::new(self.db())).ok()??; // the file may not be there yet
            (holder.pid == worker.child.id()).then_some(())
        });
        worker
    }

    /// Runs everything that can run now.
    pub fn work_until_idle(&self, args: &[&str]) {
        let mut all = vec!["work", "--until-idle"];
        all.extend(args);
        self.ok(&all);
    }
}

/// The same command, which a program executes.
fn behind(program: &[&str], command: Command) -> Command {
    let Some((first, rest)) = program.split_first() else { return command };
    let mut behind = Command::new(first);
    behind.args(rest).arg(command.get_program()).args(command.get_args());
    behind.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        behind.current_dir(dir);
    }
    behind
}

/// A worker that is killed when the test is over.
pub struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        kill_child(&mut self.child);
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// TERM, and waits for its end.
    pub fn stop(mut self) -> i32 {
        kill(self.pid(), Signal::TERM);
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> i32 {
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// What it wrote on stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}
