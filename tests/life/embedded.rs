//! A program with a worker inside, by the library's own interface: its functions as jobs, and what becomes of them when it dies.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tenure::{Cancelled, Ended, Error, Filter, Job, JobId, Queue, Reason, State};

use crate::support::{Nest, Signal, kill, kill_child, lives, until};

/// The program `tests/support/embedded.rs`. Cargo makes it when everything is tested, and here when it is missing.
pub fn program() -> std::path::PathBuf {
    example("embedded")
}

pub fn example(name: &str) -> std::path::PathBuf {
    // Once for all tests: a start of cargo waits for every other build in this directory.
    static BUILT: std::sync::Once = std::sync::Once::new();
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--quiet", "--examples"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().expect("cargo").success());
    });
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap();
    beside.join("examples").join(name)
}

fn start(nest: &Nest, how: &str) -> Child {
    let mut command = Command::new(program());
    command.arg(nest.db()).arg(how).current_dir(nest.path()).stdin(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

pub fn queue(nest: &Nest) -> Queue {
    Queue::open(nest.db()).unwrap()
}

/// Runs the program until nothing is left to do.
fn work(nest: &Nest) {
    assert!(start(nest, "work").wait().unwrap().success());
}

fn log_of(queue: &Queue, id: JobId) -> String {
    String::from_utf8(queue.logs(id).read().unwrap()).unwrap()
}

#[test]
fn a_handler_ends_with_its_result() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::call("greet", ["wörld"])).unwrap();
    work(&nest);
    let job = queue.wait(id).unwrap();
    assert_eq!((job.state, job.exit_code, job.label.as_deref()), (State::Done, Some(0), Some("greet")), "{job:?}");
    assert!(job.result.unwrap().starts_with("hello wörld from run "));
    assert_eq!(job.progress.unwrap().text.as_deref(), Some("half"));
    assert_eq!(log_of(&queue, id), "greeting wörld\n");
}

#[test]
fn a_handler_may_add_jobs_to_its_queue() {
    let nest = Nest::new();
    let queue = queue(&nest);
    queue.add(Job::call("count", ["3"])).unwrap();
    work(&nest);
    let jobs = queue.list(&Filter::all().label("count").state(State::Done)).unwrap();
    assert_eq!(jobs.len(), 4);
}

#[test]
fn the_result_of_a_handler_is_its_exit_code_and_in_the_log() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let no_wait = |job: Job| job.retries(1).backoff(Duration::ZERO, Duration::ZERO);
    let failed = queue.add(no_wait(Job::call("fail", [""; 0]))).unwrap();
    let refused = queue.add(no_wait(Job::call("refuse", [""; 0]))).unwrap();
    let panicked = queue.add(no_wait(Job::call("panic", [""; 0]))).unwrap();
    let later = queue.add(no_wait(Job::call("later", [""; 0]).max_deferrals(1))).unwrap();
    work(&nest);
    for (id, code, attempts, words) in [
        (failed, 1, 2, "No such file or directory"),
        (refused, 65, 1, "tenure: attempt 1 was the last\n"),
        (panicked, 101, 2, "this handler is broken"),
        (later, 75, 1, "tenure: the moon is not full\n"),
    ] {
        let job = queue.wait(id).unwrap();
        assert_eq!((job.state, job.reason, job.exit_code), (State::Failed, Some(Reason::Exit), Some(code)), "{job:?}");
        assert_eq!(job.attempts, attempts, "{job:?}");
        assert!(log_of(&queue, id).contains(words), "{}", log_of(&queue, id));
    }
}

#[test]
fn a_timeout_ends_the_whole_tree_of_a_handler() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue
        .add(Job::call("sleep", ["pids"]).cwd(nest.path()).timeout(Duration::from_millis(400)).grace(Duration::ZERO))
        .unwrap();
    work(&nest);
    let job = queue.wait(id).unwrap();
    assert_eq!((job.state, job.reason), (State::Failed, Some(Reason::Timeout)), "{job:?}");
    let pids = std::fs::read_to_string(nest.file("pids")).expect("it had begun");
    for pid in pids.split(' ') {
        assert!(!lives(pid.parse().unwrap()), "of {pids}, {pid} is left");
    }
}

#[test]
fn a_memory_limit_holds_for_a_handler() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::call("grow", [""; 0]).memory(64 << 20).timeout(Duration::from_secs(60))).unwrap();
    work(&nest);
    let job = queue.wait(id).unwrap();
    assert_eq!(job.state, State::Failed, "{job:?}");
    assert!(matches!(job.reason, Some(Reason::Memory | Reason::Signal)), "{job:?}");
}

#[test]
fn a_handler_outlives_a_kill_of_the_program_and_is_adopted() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::call("steps", ["go"]).cwd(nest.path())).unwrap();
    let mut serving = start(&nest, "serve");
    until("the handler to begin", || (log_of(&queue, id) == "begun\n").then_some(()));
    kill_child(&mut serving);
    assert_eq!(queue.job(id).unwrap().state, State::Running);
    let next = start(&nest, "serve");
    until("it to be adopted", || (nest.counter("adopted_total") == 1).then_some(()));
    std::fs::write(nest.file("go"), "").unwrap();
    let job = queue.wait(id).unwrap();
    assert_eq!((job.state, job.exit_code, job.attempts), (State::Done, Some(0), 1), "{job:?}");
    assert_eq!(job.result.as_deref(), Some("both"));
    assert_eq!(log_of(&queue, id), "begun\nended\n");
    end(next);
}

#[test]
fn a_handler_that_ended_while_no_program_ran_is_not_lost() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::call("steps", ["go"]).cwd(nest.path())).unwrap();
    let mut serving = start(&nest, "serve");
    until("the handler to begin", || (log_of(&queue, id) == "begun\n").then_some(()));
    let pid = until("its pid to be known", || queue.job(id).unwrap().pid);
    kill_child(&mut serving);
    std::fs::write(nest.file("go"), "").unwrap();
    until("the handler to end", || (!lives(pid)).then_some(()));
    work(&nest);
    let job = queue.wait(id).unwrap();
    assert_eq!((job.state, job.exit_code, job.attempts), (State::Done, Some(0), 1), "{job:?}");
    assert_eq!((job.result.as_deref(), log_of(&queue, id).as_str()), (Some("both"), "begun\nended\n"));
}

#[test]
fn an_unknown_handler_ends_and_a_foreign_one_is_requeued() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let unknown = queue.add(Job::call("gone", [""; 0]).retries(5)).unwrap();
    work(&nest);
    let job = queue.wait(unknown).unwrap();
    assert_eq!((job.state, job.exit_code, job.attempts), (State::Failed, Some(78), 1), "{job:?}");
    assert!(log_of(&queue, unknown).contains("has no handler \"gone\", only greet, count"), "{}", log_of(&queue, unknown));

    let foreign = queue.add(Job::call("greet", ["you"])).unwrap();
    nest.ok(&["work", "--until-idle", "--quiet"]);
    let job = queue.job(foreign).unwrap();
    assert_eq!((job.state, job.attempts, job.error.as_deref()), (State::Queued, 0, Some("exit status 75: not now")), "{job:?}");
    assert!(log_of(&queue, foreign).contains("has no handlers, and the job calls \"greet\""), "{}", log_of(&queue, foreign));
    nest.ok(&["set", &foreign.to_string(), "delay=0s"]);
    work(&nest);
    assert_eq!(queue.wait(foreign).unwrap().state, State::Done);
}

#[test]
fn the_example_scales_images_and_refuses_what_is_none() {
    let nest = Nest::new();
    // Red on the left, blue on the right; 300 columns become 128.
    let row: Vec<u8> = (0..300).flat_map(|column| if column < 150 { [200, 0, 0] } else { [0, 0, 100] }).collect();
    let image = [b"P6\n# a comment\n300 150\n255\n".to_vec(), row.repeat(150)].concat();
    std::fs::write(nest.file("flag.ppm"), image).unwrap();
    std::fs::write(nest.file("broken.ppm"), "P6\n300 150\n255\nshort").unwrap();
    let said = Command::new(example("thumbnails"))
        .arg(nest.db())
        .args(["flag.ppm", "broken.ppm"])
        .current_dir(nest.path())
        .output()
        .unwrap();
    let mut lines: Vec<_> = std::str::from_utf8(&said.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1 done 128x64", "2 failed exit status 65"], "{said:?}");
    let small = std::fs::read(nest.file("flag.thumbnail")).unwrap();
    let pixels = small.strip_prefix(b"P6\n128 64\n255\n").expect("a header");
    assert_eq!((pixels.len(), &pixels[..3], &pixels[127 * 3..128 * 3]), (128 * 64 * 3, &[200, 0, 0][..], &[0, 0, 100][..]));
    assert_eq!(log_of(&queue(&nest), JobId(2)), "tenure: broken.ppm: it has 5 bytes, which is not 300x150\n");
}

/// A worker in this very process, which has no `main` of its own.
pub fn helped(queue: &Queue) -> tenure::WorkerBuilder {
    queue.worker().slots(2).helper(env!("CARGO_BIN_EXE_tenure"))
}

#[test]
fn two_workers_in_one_process_serve_a_file_each() {
    let nests = [Nest::new(), Nest::new()];
    let queues = nests.each_ref().map(queue);
    let workers = queues.each_ref().map(|queue| helped(queue).start().unwrap());
    let ids = queues.each_ref().map(|queue| queue.add(Job::shell("echo $TENURE_DB; exit 3").cwd("/")).unwrap());
    for ((queue, id), nest) in queues.iter().zip(ids).zip(&nests) {
        let job = queue.wait_timeout(id, Duration::from_secs(60)).unwrap().expect("it has ended");
        assert_eq!((job.state, job.exit_code), (State::Failed, Some(3)), "{job:?}");
        assert_eq!(log_of(queue, id).trim(), nest.db().to_str().unwrap());
    }
    for worker in workers {
        worker.stop().unwrap();
    }
}

#[test]
fn a_worker_that_cannot_be_is_told_by_an_error_to_match_on() {
    let nest = Nest::new();
    let queue = queue(&nest);
    assert!(matches!(queue.worker().start(), Err(Error::Invalid(_))), "this program did not call init");
    assert!(matches!(queue.worker().helper("/bin/true").start(), Err(Error::Unfit(_))));
    let worker = helped(&queue).start().unwrap();
    assert!(matches!(helped(&queue).start(), Err(Error::Held(_))));
    worker.stop().unwrap();
    assert_eq!(helped(&queue).until_idle().start().unwrap().wait().unwrap().ended, Ended::Idle);
}

#[test]
fn stop_leaves_runs_to_the_next_worker_and_drain_waits_for_them() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let steps = "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo ended";
    let id = queue.add(Job::shell(steps).cwd(nest.path())).unwrap();
    let worker = helped(&queue).start().unwrap();
    until("the job to begin", || (log_of(&queue, id) == "begun\n").then_some(()));
    worker.stop().unwrap();
    assert_eq!(queue.job(id).unwrap().state, State::Running);
    let worker = helped(&queue).start().unwrap();
    std::fs::write(nest.file("go"), "").unwrap();
    worker.drain().unwrap();
    let job = queue.job(id).unwrap();
    assert_eq!((job.state, job.attempts), (State::Done, 1), "{job:?}");
    let mut followed = Vec::new();
    queue.logs(id).follow().copy_to(&mut followed).unwrap();
    assert_eq!(followed, b"begun\nended\n");
}

#[test]
fn cancel_of_a_worker_ends_the_trees_of_its_jobs() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::shell("echo $$; exec sleep 600").grace(Duration::ZERO)).unwrap();
    let worker = helped(&queue).start().unwrap();
    until("the job to begin", || (!log_of(&queue, id).is_empty()).then_some(()));
    worker.cancel().unwrap();
    let job = queue.job(id).unwrap();
    assert_eq!((job.state, job.reason), (State::Cancelled, Some(Reason::Cancelled)), "{job:?}");
    assert!(!lives(log_of(&queue, id).trim().parse().unwrap()));
}

#[test]
fn each_verb_of_a_queue_does_what_the_command_does() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let held = queue.add(Job::command(["true"]).held().queue("mail").priority(3).unique("k")).unwrap();
    assert_eq!(queue.add(Job::command(["true"]).unique("k")).unwrap(), held);
    queue.release(held).unwrap();
    assert_eq!(queue.job(held).unwrap().hold, None);
    queue.hold(held).unwrap();
    let after = queue.add(Job::command(["true"]).after(held).delay(Duration::from_secs(3600))).unwrap();
    let why = queue.why(held).unwrap();
    assert!(why.iter().any(|one| one.code == "user" && one.remedy.as_deref() == Some("tenure release 1")), "{why:?}");
    assert!(why.iter().any(|one| one.code == "no_worker"), "{why:?}");
    assert_eq!(queue.list(&Filter::live().queue("mail")).unwrap().iter().map(|job| job.id).collect::<Vec<_>>(), [held]);
    assert_eq!(queue.cancel(held).unwrap(), Cancelled::Ended);
    assert_eq!(queue.cancel(held).unwrap(), Cancelled::AlreadyEnded);
    let ended = queue.wait_all(&[held, after]).unwrap();
    assert_eq!(ended.iter().map(|job| job.reason).collect::<Vec<_>>(), [Some(Reason::Cancelled), Some(Reason::Dependency)]);
    assert_eq!(queue.retry_with_dependants(held).unwrap(), [held, after]);
    assert!(matches!(queue.retry(held), Err(Error::Refused(_))), "it is queued");
    assert_eq!(queue.wait_timeout(held, Duration::from_millis(1)).unwrap(), None);
    let none = JobId(99);
    for missing in [
        queue.job(none).err(),
        queue.cancel(none).err(),
        queue.wait(none).err(),
        queue.hold(none).err(),
        queue.history(none).err(),
    ] {
        assert!(matches!(missing, Some(Error::NotFound(_))), "{missing:?}");
    }
    for wrong in
        [Job::command([""; 0]), Job::call("", [""; 0]), Job::command(["true"]).queue(""), Job::shell("x").timeout(Duration::ZERO)]
    {
        assert!(matches!(queue.add(wrong), Err(Error::Invalid(_))));
    }
    assert!(queue.history(held).unwrap().iter().any(|event| event.kind == "retried"));
}

#[test]
fn a_secret_and_an_input_reach_the_job_and_go_with_it() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::shell("cat; echo $TOKEN").secret("TOKEN", "s3cret").stdin("from stdin\n")).unwrap();
    assert_eq!(std::fs::read_dir(nest.beside().join("secrets")).unwrap().count(), 2);
    helped(&queue).until_idle().start().unwrap().wait().unwrap();
    assert_eq!(log_of(&queue, id), "from stdin\ns3cret\n");
    until("the private files to go", || (std::fs::read_dir(nest.beside().join("secrets")).unwrap().count() == 0).then_some(()));
}

#[test]
fn a_watch_gives_each_change_and_ends_with_the_job() {
    let nest = Nest::new();
    let queue = queue(&nest);
    let id = queue.add(Job::shell("while [ ! -e go ]; do sleep 0.01; done").cwd(nest.path())).unwrap();
    let mut watch = queue.watch(id).unwrap();
    assert_eq!(watch.next().unwrap().unwrap().state, State::Queued);
    let worker = helped(&queue).start().unwrap();
    assert_eq!(watch.next().unwrap().unwrap().state, State::Running);
    std::fs::write(nest.file("go"), "").unwrap();
    assert_eq!(watch.last().unwrap().unwrap().state, State::Done);
    worker.stop().unwrap();
}

/// Ends a serving program as an operator would.
fn end(mut program: Child) {
    kill(program.id().cast_signed(), Signal::TERM);
    program.wait().unwrap();
}
