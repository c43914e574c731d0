//! What a job has mounted in a directory of ours is not removed with that directory, however it comes to be removed, and the printed command clears it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Nest, Said, Started, each, said, until};

/// A worker in a mount namespace of its own, so that what its jobs mount ends with it.
struct Apart(Started);

impl Apart {
    /// `None`: such a namespace cannot be made here.
    fn start(nest: &Nest) -> Option<Self> {
        let can = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            crate::support::untested::not_tested("what a job mounts", "mount namespaces: unshare of util-linux, and root");
            return None;
        }
        let log = std::fs::File::create(nest.file("worker.log")).unwrap();
        let mut command = through(nest, &["unshare", "-m"], &["work", "--tick", "200ms", "--slots", "1"]);
        let worker = Self(Started(command.stdout(Stdio::null()).stderr(log).spawn().unwrap()));
        until("the worker to be seen", || nest.say(&["status", "--json"]).out.contains("\"pid\"").then_some(()));
        Some(worker)
    }

    fn pid(&self) -> String {
        self.0.0.id().to_string()
    }

    /// What tenure says where the mounts are seen.
    fn say(&self, nest: &Nest, args: &[&str]) -> Said {
        said(through(nest, &["nsenter", "-t", &self.pid(), "-m"], args).output().unwrap())
    }

    /// Types a line there.
    fn type_in(&self, line: &str) -> Said {
        said(Command::new("nsenter").args(["-t", &self.pid(), "-m", "sh", "-c", line]).output().unwrap())
    }
}

/// The command of the nest, started by another program.
fn through(nest: &Nest, outer: &[&str], args: &[&str]) -> Command {
    let inner = nest.tenure(args);
    let mut command = Command::new(outer[0]);
    command.args(&outer[1..]).arg(env!("CARGO_BIN_EXE_tenure")).args(args).current_dir(nest.path()).env_clear();
    command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    APersonRemovesIt,
    AnotherPrepare,
    APrepareThatFails,
    AResult,
}

impl Way {
    /// The directory of ours ends with a mount in it.
    fn take(self, nest: &Nest, worker: &Apart, mount: &str) {
        let job = |prepare: &str, line: &str| {
            nest.sh(&["--workspace", "k", "--prepare", prepare, "--retries", "0", "--backoff", "0s..0s"], line)
        };
        match self {
            Self::APersonRemovesIt => {
                nest.until_ended(job("true", mount));
                let measured = "SELECT bytes FROM workspace WHERE measured_at >= last_used_at";
                let look = || nest.sql().query_row(measured, [], |row| row.get::<_, i64>(0)).ok();
                let bytes = until("it to be measured after its use", look);
                assert!(bytes < 1 << 20, "what is mounted is not counted: {bytes}");
                let told = worker.say(nest, &["workspace", "rm", "k"]);
                assert!(told.code == 1 && told.err.contains("umount "), "{told:?}");
            }
            Self::AnotherPrepare => {
                nest.until_ended(job("echo 1 >v", mount));
                nest.until_ended(job("echo 2 >v", "true"));
            }
            Self::APrepareThatFails => drop(nest.until_ended(job(&format!("{mount}; exit 1"), "true"))),
            Self::AResult => {
                drop(nest.until_ended(nest.sh(&[], &format!("mkdir \"$TENURE_RESULT\"; cd \"$TENURE_RESULT\"; {mount}"))))
            }
        }
    }

    fn code(self) -> &'static str {
        if self == Self::AResult { "result_left" } else { "workspace_left" }
    }

    fn directory(self, nest: &Nest) -> PathBuf {
        nest.beside().join(if self == Self::AResult { "results" } else { "work" })
    }
}

/// What `status` says of it.
fn problem(nest: &Nest, code: &str) -> Option<String> {
    let problems = nest.json(&["status", "--json"])["problems"].clone();
    let one = problems.as_array().unwrap().iter().find(|one| one["code"] == code)?;
    Some(one["text"].as_str().unwrap().to_owned())
}

/// Directories that are being removed, and results.
fn left_in(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".trash-") || name.bytes().all(|byte| byte.is_ascii_digit())).count()
}

#[test]
fn a_mount_outlives_a_workspace_that_a_person_removes() {
    walk(Way::APersonRemovesIt);
}

#[test]
fn a_mount_outlives_a_workspace_of_another_prepare_command() {
    walk(Way::AnotherPrepare);
}

#[test]
fn a_mount_outlives_a_prepare_that_fails() {
    walk(Way::APrepareThatFails);
}

#[test]
fn a_mount_outlives_a_result() {
    walk(Way::AResult);
}

fn walk(way: Way) {
    each(&["in", "a/b/c/in let's"], |below| {
        let nest = Nest::new();
        let Some(worker) = Apart::start(&nest) else { return };
        let precious = nest.file("precious");
        std::fs::create_dir_all(precious.join("deep/er")).unwrap();
        std::fs::write(precious.join("gold"), vec![7; 2 << 20]).unwrap();
        std::fs::write(precious.join("deep/er/silver"), "silver").unwrap();
        let mount = format!("mkdir -p \"{below}\"; touch a b; mount --bind {} \"{below}\"", precious.display());
        way.take(&nest, &worker, &mount);
        let text = until("status to tell of it", || problem(&nest, way.code()));
        let untouched = ["gold", "deep/er/silver"].iter().all(|name| precious.join(name).exists());
        assert!(untouched, "{way:?}, {below}: what was mounted is empty; {text}");
        if way != Way::AResult {
            let doctor = worker.say(&nest, &["doctor"]).out;
            assert!(doctor.contains("umount "), "{way:?}, {below}: {doctor}");
        }
        // A prepare that fails is repeated, so there may be several.
        until("the rest to go", || match problem(&nest, way.code()) {
            Some(text) => {
                let line = text.find("umount ").map(|at| text[at..].split(" (it is tried again)").next().unwrap());
                worker.type_in(line.unwrap_or_else(|| panic!("{way:?}, {below}: {text}")));
                None
            }
            None => (left_in(&way.directory(&nest)) == 0).then_some(()),
        });
        assert!(precious.join("deep/er/silver").exists() && precious.join("gold").exists(), "{way:?}, {below}");
    });
}
