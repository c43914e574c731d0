//! Dead is what the kernel says is dead, for a worker that is not root: what it may not look at, and what it may not end.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::faces::said::is_root;
use crate::faces::unprivileged::{PlainUser, open};
use crate::support::zoo::{self, lives};
use crate::support::{Nest, Signal, Started, each, kill, pid_in, until};

const GOES_ON: &str = "while [ ! -e go ]; do sleep 0.05; done; exit 7";

/// What becomes of the worker and what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    JobEnds,
    Cancel,
    ShimKilled,
    SpawnerThenShim,
    AllKilled,
}

const EVENTS: [Event; 5] = [Event::JobEnds, Event::Cancel, Event::ShimKilled, Event::SpawnerThenShim, Event::AllKilled];

struct Scene {
    nest: Nest,
    me: PlainUser,
    program: std::path::PathBuf,
}

impl Scene {
    fn open(limited: bool) -> (Self, Started) {
        let nest = Nest::new();
        let me = PlainUser::new(&nest);
        let program = zoo::build(nest.path());
        open(&program, "4755");
        let scene = Self { nest, me, program };
        let work = scene.work(limited);
        (scene, work)
    }

    /// `limited`: its real-time budget has a limit already, so that its runs cannot be marked by one.
    fn work(&self, limited: bool) -> Started {
        let mut command = if limited {
            let line = "ulimit -S -R 5000000 && ulimit -H -R 5000000 && exec \"$0\" work --slots 8 --tick 100ms";
            self.me.program(Path::new("/bin/bash"), &["-c", line, &self.me.home().join("tenure").to_string_lossy()])
        } else {
            self.me.tenure(&["work", "--slots", "8", "--tick", "100ms"])
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the worker", || {
            let status: serde_json::Value = serde_json::from_str(&self.me.say(&["status", "--json"]).out).ok()?;
            (status["worker"]["pid"].as_u64() == Some(child.id().into())).then_some(())
        });
        Started(child)
    }

    /// A job that has left a process of this kind.
    fn job(&self, kind: &str) -> (String, i32) {
        let line = format!("{} {kind} $PWD/{kind} & {GOES_ON}", self.program.display());
        let id = self.me.ok(&["add", "--grace", "500ms", "-c", &line]);
        let animal = pid_in(&self.me.home().join(kind));
        until("the job's pid", || self.me.show(&id)["pid"].as_i64());
        (id, animal)
    }

    fn shim(&self, id: &str) -> i32 {
        let run = self.me.show(id)["run_id"].as_i64().unwrap();
        let text = std::fs::read_to_string(self.me.db().with_extension("db.d").join("runs").join(run.to_string())).unwrap();
        text.split("shim=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    }

    /// Lets it happen; gives the worker that is there afterwards.
    fn let_happen(&self, event: Event, work: Started, id: &str, limited: bool) -> Started {
        let shim = self.shim(id);
        let spawner = self.nest.parent_of(shim);
        match event {
            Event::JobEnds => std::fs::write(self.me.home().join("go"), "").unwrap(),
            Event::Cancel => drop(self.me.ok(&["cancel", id])),
            Event::ShimKilled => assert!(kill(shim, Signal::KILL)),
            Event::SpawnerThenShim => {
                kill(spawner, Signal::KILL);
                until("the shim to fall to the worker", || (self.nest.parent_of(shim) == work.0.id() as i32).then_some(()));
                kill(shim, Signal::KILL);
            }
            Event::AllKilled => {
                kill(spawner, Signal::STOP);
                drop(work);
                kill(spawner, Signal::KILL);
                kill(shim, Signal::KILL);
                until("the shim to go", || (!lives(shim)).then_some(()));
                return self.work(limited);
            }
        }
        work
    }

    fn until_ended(&self, id: &str) -> serde_json::Value {
        until(&format!("job {id} to end"), || {
            let job = self.me.show(id);
            matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")).then_some(job)
        })
    }

    fn stuck(&self) -> Option<String> {
        let status: serde_json::Value = serde_json::from_str(&self.me.ok(&["status", "--json"])).unwrap();
        let problem = status["problems"].as_array()?.iter().find(|problem| problem["code"] == "stuck")?.clone();
        Some(problem["text"].as_str().unwrap().to_owned())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        zoo::clear(self.nest.path());
    }
}

/// A process of the same user that nothing may be read of and that no run has started: as the agent of a login.
struct Bystander {
    _process: Started,
    pid: i32,
}

impl Bystander {
    fn new(scene: &Scene, name: &str) -> Self {
        let path = scene.me.home().join(name);
        let child = scene
            .me
            .program(Path::new("/bin/sh"), &["-c", &format!("exec {} non_dumpable {}", scene.program.display(), path.display())])
            .spawn()
            .unwrap();
        let pid = pid_in(&path);
        Self { _process: Started(child), pid }
    }
}

#[test]
fn what_its_own_user_may_not_look_at_ends_with_its_run() {
    if !is_root("a user of its own") {
        return;
    }
    let kinds = [
        "non_dumpable",
        "non_dumpable_cleared",
        "non_dumpable_zombie_leader",
        "zombie_leader",
        "zombie_leader_cleared",
        "vfork_parent",
    ];
    each(&kinds, |kind| {
        for event in EVENTS {
            let (scene, work) = Scene::open(false);
            let before = Bystander::new(&scene, "before");
            let (id, animal) = scene.job(kind);
            let after = Bystander::new(&scene, "after");
            let _work = scene.let_happen(event, work, &id, false);
            let job = scene.until_ended(&id);
            assert!(!lives(animal), "{kind} {event:?}: it lives, and its job has ended: {job}");
            assert!(lives(before.pid) && lives(after.pid), "{kind} {event:?}: a process outside of it lives");
        }
    });
}

/// Where a run could not be marked by a limit, what nothing may be read of is not known: neither ended, nor taken for gone.
#[test]
fn what_is_not_known_keeps_its_run_and_is_told() {
    if !is_root("a user of its own") {
        return;
    }
    for said_by_a_person in [false, true] {
        let (scene, work) = Scene::open(true);
        let before = Bystander::new(&scene, "before");
        let (id, animal) = scene.job("non_dumpable");
        let _work = scene.let_happen(Event::AllKilled, work, &id, true);
        let text = until("the problem to be told", || scene.stuck());
        assert!(text.contains(&format!("{animal} zoo")), "it is named: {text}");
        assert!(!text.contains(&before.pid.to_string()), "what was there before the run is not: {text}");
        assert_eq!(scene.me.show(&id)["state"], "running");
        if said_by_a_person {
            let run = scene.me.show(&id)["run_id"].to_string();
            scene.me.ok(&["doctor", "--gone", &run]);
        } else {
            kill(animal, Signal::KILL);
        }
        assert_eq!(scene.until_ended(&id)["reason"], "lost");
        assert_eq!(lives(animal), said_by_a_person, "a person's word ends nothing");
        assert!(lives(before.pid));
        if said_by_a_person {
            kill(animal, Signal::KILL);
        }
    }
}

/// A setuid program of the job is root's: it cannot be ended, and it is not forgotten.
#[test]
fn what_may_not_be_ended_is_told_wherever_it_fell() {
    if !is_root("setuid programs") {
        return;
    }
    for event in [Event::SpawnerThenShim, Event::AllKilled] {
        let (scene, work) = Scene::open(false);
        let (id, animal) = scene.job("setuid");
        assert_eq!(
            std::fs::metadata(format!("/proc/{animal}")).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap(),
            0
        );
        let _work = scene.let_happen(event, work, &id, false);
        let text = until("the problem to be told", || scene.stuck());
        assert!(text.contains(&format!("{animal} zoo")), "{event:?}: it is named: {text}");
        assert_eq!(scene.me.show(&id)["state"], "running", "{event:?}");
        kill(animal, Signal::KILL);
        assert_eq!(scene.until_ended(&id)["reason"], "lost", "{event:?}");
        assert_eq!(scene.stuck(), None, "{event:?}");
    }
}

/// The spawner keeps the lock of a run as long as something that its killed shim has left lives, also when its worker is gone.
#[test]
fn a_spawner_stays_for_what_it_may_not_end() {
    if !is_root("setuid programs") {
        return;
    }
    let (scene, work) = Scene::open(false);
    let (id, animal) = scene.job("setuid");
    let shim = scene.shim(&id);
    let spawner = scene.nest.parent_of(shim);
    drop(work);
    kill(shim, Signal::KILL);
    until("the shim to be reaped", || (!Path::new(&format!("/proc/{shim}")).exists()).then_some(()));
    let _work = scene.work(false);
    until("the run to be adopted, as its lock is held", || {
        let status: serde_json::Value = serde_json::from_str(&scene.me.say(&["status", "--json"]).out).ok()?;
        (status["reaper"]["acts"]["adopted_total"]["n"] == 1).then_some(())
    });
    assert!(lives(spawner) && lives(animal));
    assert_eq!(scene.me.show(&id)["state"], "running");
    kill(animal, Signal::KILL);
    assert_eq!(scene.until_ended(&id)["reason"], "lost");
    until("the spawner to have nothing left to do", || (!lives(spawner)).then_some(()));
}

#[test]
fn a_job_of_another_user_can_always_write_its_result() {
    if !is_root("jobs of other users") {
        return;
    }
    for reachable in [true, false] {
        let nest = Nest::new();
        open(nest.path(), if reachable { "0711" } else { "0700" });
        let _worker = nest.work(&[]);
        let id = nest.add(&[
            "--user",
            "nobody",
            "--cwd",
            "/",
            "-c",
            "id -un; sh -c 'printf half >$TENURE_RESULT; printf -- -full >>$TENURE_RESULT'",
        ]);
        let job = nest.until_ended(id);
        assert_eq!(
            (job["state"].as_str(), job["result"].as_str()),
            (Some("done"), Some("half-full")),
            "reachable: {reachable}: {job}"
        );
        // It may pass, and see nothing.
        let mode =
            |path: &Path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o7777;
        assert_eq!((mode(&nest.beside()), mode(&nest.beside().join("logs"))), (0o701, 0o700));
        let listed =
            Command::new("setpriv").args(["--reuid", "65534", "--clear-groups", "ls"]).arg(nest.beside()).output().unwrap();
        assert!(!listed.status.success());
        assert!(nest.ok(&["doctor"]).contains("permissions"));
    }
}

/// Neither cookie, limit nor log: what falls to the worker is known by that alone, and its run is not over before it has ended.
#[test]
fn what_carries_no_mark_at_all_falls_to_the_worker_and_ends() {
    if !is_root("a user of its own") {
        return;
    }
    for kind in ["cleared", "non_dumpable_cleared", "zombie_leader_cleared"] {
        let (scene, work) = Scene::open(true);
        let bystander = Bystander::new(&scene, "bystander");
        let (id, animal) = scene.job(kind);
        let _work = scene.let_happen(Event::SpawnerThenShim, work, &id, true);
        assert_eq!(scene.until_ended(&id)["reason"], "lost", "{kind}");
        assert!(!lives(animal), "{kind}: it lives, and its job has ended");
        assert!(lives(bystander.pid), "{kind}: a process outside of it lives");
    }
}
