//! A private file of a job that is being added, while the worker sweeps and while the disk fails.

use std::process::{Command, Stdio};

use crate::life::left::claimed;
use crate::support::strace::has_strace;
use crate::support::{Nest, Said, said};

/// Runs `tenure` with the variable `MYS` under strace, which changes its system calls.
fn add_under_strace(nest: &Nest, change: &[&str], args: &[&str]) -> Said {
    let program = nest.tenure(args);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q"]).args(change).arg("-o").arg(nest.file("strace"));
    strace.arg(program.get_program()).args(program.get_args()).current_dir(nest.path()).env_clear();
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("MYS", "s3cret");
    said(strace.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn a_secret_of_a_job_that_is_being_added_survives_each_sweep() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    let _worker = nest.work(&["--tick", "20ms"]);
    // The sweep comes between the creation of the file and its lock, which is one of the first.
    let slow = ["-e", "trace=flock", "-e", "inject=flock:delay_enter=400000:when=1..3"];
    let said = add_under_strace(&nest, &slow, &["add", "--secret", "MYS", "-c", "echo $MYS"]);
    assert_eq!((said.code, said.out.as_str()), (0, "1\n"), "{said:?}");
    assert_eq!(nest.until_ended(1)["state"], "done");
    assert_eq!(nest.log(1).trim_end(), "s3cret");
}

#[test]
fn a_file_that_was_created_for_no_job_is_swept() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let secrets = nest.beside().join("secrets");
    for left in ["0123456789abcdef", "0123456789abcdef.new"] {
        std::fs::write(secrets.join(left), "s3cret").unwrap();
    }
    let _worker = nest.work(&["--tick", "20ms"]);
    crate::support::until("the files to be removed", || (std::fs::read_dir(&secrets).unwrap().count() == 0).then_some(()));
}

/// A named file whose client has not added its job yet, and one that is about to be named.
#[test]
fn a_file_that_its_client_still_holds_is_not_swept() {
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let secrets = nest.beside().join("secrets");
    let held = ["0123456789abcdef", "fedcba9876543210.new"].map(|name| {
        let file = std::fs::File::create_new(secrets.join(name)).unwrap();
        file.lock().unwrap();
        file
    });
    let _worker = nest.work(&["--tick", "20ms"]);
    // The round that removes the second of these began after one that has seen all files.
    for free in ["00", "11"] {
        std::fs::write(secrets.join(free), "s3cret").unwrap();
        crate::support::until("a free file to be removed", || (!secrets.join(free).exists()).then_some(()));
    }
    assert_eq!(std::fs::read_dir(&secrets).unwrap().count(), held.len());
    drop(held);
    crate::support::until("the files to be removed", || (std::fs::read_dir(&secrets).unwrap().count() == 0).then_some(()));
}

/// SQLite flushes the header of a new log within the commit: after an error the row may be in the log or not.
#[test]
fn a_commit_that_may_be_on_the_disk_keeps_the_files_of_its_job() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let broken = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    let said = add_under_strace(&nest, &broken, &["add", "--secret", "MYS", "-c", "echo $MYS"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("the jobs may have been added") && said.err.contains("tenure ls -a"), "{said:?}");
    assert_eq!(std::fs::read_dir(nest.beside().join("secrets")).unwrap().count(), 1);
}

#[test]
fn a_job_whose_flush_fails_keeps_its_secret_and_is_named() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    // It keeps the log, whose header would be flushed before the commit otherwise.
    let held = nest.sql();
    held.query_row("SELECT count(*) FROM job", [], |_| Ok(())).unwrap();
    nest.add(&["--hold", "--", "true"]);
    let broken = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    let said = add_under_strace(&nest, &broken, &["add", "--secret", "MYS", "-c", "echo $MYS"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("job 3 may have been added") && said.err.contains("tenure show 3"), "{said:?}");
    nest.work_until_idle(&[]);
    assert_eq!((nest.state(3).as_str(), nest.log(3).trim_end()), ("done", "s3cret"));
}

#[test]
fn a_job_is_added_although_the_one_it_replaces_cannot_be_asked() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    let old = nest.add(&["--unique", "k", "--", "true"]);
    let left = claimed(&nest, old, &[]);
    let run_file = nest.beside().join("runs").join(left.run.to_string());
    let broken = ["-P", run_file.to_str().unwrap(), "-e", "trace=openat", "-e", "inject=openat:error=EIO"];
    let said = add_under_strace(&nest, &broken, &["add", "--unique", "k", "--replace", "--", "true"]);
    assert_eq!((said.code, said.out.as_str()), (0, "2\n"), "{said:?}");
    assert!(std::fs::read_to_string(nest.file("strace")).unwrap().contains("(INJECTED)"));
}

/// Jobs that share their files: each finds them, whichever ends first and however, and the last
/// end removes them.
#[test]
fn the_jobs_of_an_array_share_their_files_until_the_last_ends() {
    let add = |nest: &Nest, args: &[&str], stdin: &str| {
        std::fs::write(nest.file("input"), stdin).unwrap();
        let mut add = nest.tenure(&[&["add"], args].concat());
        add.env("MYS", "s3cret").stdin(std::fs::File::open(nest.file("input")).unwrap());
        let added = said(add.output().unwrap());
        assert_eq!(added.code, 0, "{added:?}");
    };
    let line = "cat; echo $MYS";
    for by_sql in [false, true] {
        let nest = Nest::new();
        let array: &[&str] = if by_sql { &["--hold"] } else { &["--array", "0-4"] };
        add(&nest, &[array, &["--secret", "MYS", "--stdin", "-", "-c", line]].concat(), "in\n");
        if by_sql {
            let copy = "INSERT INTO job (command, cwd, env, policy) SELECT command, cwd, env, policy FROM job WHERE id = 1";
            (0..4).for_each(|_| _ = nest.sql().execute(copy, []).unwrap());
        }
        nest.ok(&["cancel", "2"]);
        nest.work_until_idle(&["--slots", "1"]);
        nest.say(&["release", "1"]);
        nest.work_until_idle(&["--slots", "1"]);
        for id in [1, 3, 4, 5] {
            assert_eq!(nest.show(id)["state"], "done", "{by_sql}: {}", nest.show(id));
            assert_eq!(nest.log(id), "in\ns3cret", "{by_sql}: job {id}");
        }
        let left = std::fs::read_dir(nest.beside().join("secrets")).unwrap().count();
        assert_eq!(left, 0, "{by_sql}: the last end removes them");
    }
}

#[test]
fn a_chunk_that_is_not_confirmed_is_told_with_those_before_it() {
    if !has_strace() {
        return;
    }
    let nest = Nest::new();
    nest.add(&["--hold", "--", "true"]);
    let held = nest.sql();
    held.query_row("SELECT count(*) FROM job", [], |_| Ok(())).unwrap();
    nest.add(&["--hold", "--", "true"]);
    std::fs::write(nest.file("lines"), "{\"command\": [\"true\"], \"hold\": true}\n".repeat(3)).unwrap();
    for (nth, which, before) in [("1+", "jobs 3 to 4", ""), ("2+", "job 7", "; the 2 lines before this chunk are added")] {
        let change = format!("inject=fdatasync:error=EIO:when={nth}");
        let said =
            add_under_strace(&nest, &["-e", "trace=fdatasync", "-e", &change], &["add", "--from", "lines", "--chunk", "2"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(&format!("{which} may have been added")), "{said:?}");
        assert!(said.err.contains(before) && !said.err.contains("nothing was added"), "{said:?}");
    }
}
