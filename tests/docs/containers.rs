//! The script of docs/containers.md, with a stand-in for the container daemon and its client.

use std::path::Path;
use std::process::{Child, Command};

use super::blocks;
use crate::support::{Nest, until, write_program};

/// The client talks to the daemon by files in the directory of the daemon.
const CLIENT: &str = r#"#!/bin/sh
cd "@DIR@"
case $1 in
run)
  shift 4 # run --rm --init --name
  name=$1; shift 2
  printf '%s\n' "$*" > "$name.new"; mv "$name.new" "$name.ask"
  while [ ! -e "$name.code" ]; do sleep 0.02; done
  exit "$(cat "$name.code")" ;;
ps)
  [ ! -e down ] || exit 1
  name=${4#name=^}; name=${name%\$}
  [ ! -e "$name.pid" ] || echo "$name" ;;
rm)
  [ -e "$3.pid" ] || exit 1
  kill -KILL "$(cat "$3.pid")"; rm "$3.pid" ;;
esac
"#;

/// Starts what was asked for as its own child.
const DAEMON: &str = r#"
while [ ! -e stop ]; do
  for ask in *.ask; do
    [ -e "$ask" ] || continue
    name=${ask%.ask}
    mv "$ask" "$name.run"
    sh "$name.run" & pid=$!
    echo $pid > "$name.pid.new"; mv "$name.pid.new" "$name.pid"
    { while kill -0 $pid 2>/dev/null; do sleep 0.02; done; rm -f "$name.pid"; } &
  done
  sleep 0.02
done
wait
"#;

struct Daemon {
    child: Child,
    nest: Nest,
}

impl Daemon {
    fn start() -> Self {
        let nest = Nest::new();
        let child = Command::new("sh").args(["-c", DAEMON]).current_dir(nest.path()).spawn().unwrap();
        Self { child, nest }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        std::fs::write(self.nest.file("stop"), "").unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_container_ends_with_its_job() {
    let (daemon, nest) = (Daemon::start(), Nest::new());
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/containers.md")).unwrap();
    let section = page.split_once("\n## Jobs that start containers\n").unwrap().1;
    let script: String = blocks(section).into_iter().map(|(_, block)| block).collect();
    assert!(Command::new("bash").args(["-euc", &script]).current_dir(nest.path()).status().unwrap().success());
    std::fs::create_dir(nest.file("bin")).unwrap();
    write_program(nest.file("bin/docker"), &CLIENT.replace("@DIR@", &daemon.nest.path().display().to_string()));
    let bin = Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap();
    let path = format!("{}:{}:{}", nest.file("bin").display(), bin.display(), std::env::var("PATH").unwrap());
    let env: [(&str, &std::ffi::OsStr); 1] = [("PATH", path.as_ref())];
    let worker = nest.work_with(&["--tick", "50ms"], &env);

    let id = nest.add(&["--", "./in-container", "debian:12", "sleep", "600"]);
    let run = until("the run", || nest.show(id)["run_id"].as_i64());
    let pid_file = daemon.nest.file(&format!("tenure-{run}.pid"));
    let pid = until("the container", || std::fs::read_to_string(&pid_file).ok());
    nest.ok(&["cancel", &id.to_string()]);
    assert_eq!(nest.until_ended(id)["state"], "cancelled");
    until("the container to be removed", || (!pid_file.exists()).then_some(()));
    let gone = format!("/proc/{}", pid.trim());
    until("its process to be gone", || (!Path::new(&gone).exists()).then_some(()));
    let released = || (nest.json(&["resource", "ls", "--json"])["resources"].as_array().unwrap().is_empty()).then_some(());
    until("the resource to be gone", released);
    assert_eq!(worker.stop(), 0);
}
