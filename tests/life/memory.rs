//! A limit of memory around the worker: that of a container, or of its unit.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::untested::left_out;
use crate::support::{Nest, kill_child, until};

/// A group of version one of the memory controller, below that of this test. Version two is tried under systemd
/// (`tests/systemd`), where groups can be made.
struct Group(PathBuf);

impl Group {
    fn make(nest: &Nest, bytes: u64) -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").expect("/proc");
        let own = groups.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path.trim_start_matches('/')));
        let name = format!("tenure-test-{}", nest.path().file_name().expect("a name").to_string_lossy());
        let made =
            own.map(|own| Path::new("/sys/fs/cgroup/memory").join(own).join(name)).filter(|dir| std::fs::create_dir(dir).is_ok());
        let Some(dir) = made else {
            left_out("a limit around the worker", "a memory group of version one: /sys/fs/cgroup/memory, and root");
            return None;
        };
        std::fs::write(dir.join("memory.limit_in_bytes"), bytes.to_string()).expect("the limit");
        Some(Self(dir))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What has ended leaves the group a moment later.
        until("the group to be empty", || std::fs::remove_dir(&self.0).is_ok().then_some(()));
    }
}

#[test]
fn a_kill_by_a_limit_around_the_worker_is_memory() {
    let outer = Nest::new();
    let Some(group) = Group::make(&outer, 100 << 20) else { return };
    {
        let nest = Nest::new();
        let template = nest.tenure(&[]);
        let script = format!("echo $$ > {}/cgroup.procs; exec \"$0\" work --slots 4", group.0.display());
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script]).arg(template.get_program()).env_clear().current_dir(nest.path());
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut worker = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let bystander = nest.sh(&[], "until [ -e go ]; do sleep 0.05; done");
        nest.until_pid(bystander);
        let hog = nest.add(&["--", "tail", "/dev/zero"]);
        let by_shell = nest.sh(&[], "tail /dev/zero; exit $?");
        for id in [hog, by_shell] {
            let job = nest.until_ended(id);
            assert_eq!((job["state"].as_str(), job["reason"].as_str()), (Some("failed"), Some("memory")), "{job}");
        }
        let killed = nest.sh(&[], "kill -9 $$");
        assert_eq!(nest.until_ended(killed)["reason"], "signal", "not a lack of memory");
        let retried = nest.add(&["--retries", "1", "--retry-on", "memory", "--backoff", "1ms", "--", "tail", "/dev/zero"]);
        assert_eq!(nest.until_ended(retried)["runs"].as_array().map(Vec::len), Some(2));
        std::fs::write(nest.file("go"), "").expect("a file");
        assert_eq!(nest.until_ended(bystander)["state"], "done");
        kill_child(&mut worker);
    }
    drop(group);
}
