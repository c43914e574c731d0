//! An engine that does what a test tells it, with its launcher. Its runs are files: no process belongs to them.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Nest, until, write_program};

/// Each executable writes its call, does what a test has written for it, and then answers from the state of the run.
const LAUNCHER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
verb=$(basename "$0")
echo "$verb $*" >> calls
if [ -e "before-$verb" ]; then . "./before-$verb"; fi
case $verb in
submit)
  name=$1
  rm -rf "new/$name"
  mkdir -p "new/$name"
  env > "new/$name/env"
  shift
  printf '%s\n' "$@" > "new/$name/command"
  cp first "new/$name/state"
  # It has a run completely, or not at all.
  mv -nT "new/$name" "runs/$name"
  if [ -e "new/$name" ]; then echo "$name" >> twice; exit 1; fi
  if [ -e "after-$verb" ]; then . "./after-$verb"; fi
  echo "of $name"
  ;;
status)
  for name; do
    if [ -e "runs/$name" ]; then sed "s/^/$name /" "runs/$name/state"; else echo "$name gone"; fi
  done
  ;;
cancel)
  for name; do
    if [ -e "runs/$name" ] && grep -Eq '^(waiting|running)' "runs/$name/state"; then echo stopped > "runs/$name/state"; fi
  done
  ;;
logs)
  { echo "output of $1"; cat "runs/$1/out"; } 2> /dev/null | tail -c "+$(($2 + 1))" | head -c "$3"
  ;;
esac
"#;

/// The engine of a nest, with the queue `far`.
pub struct Engine<'a> {
    nest: &'a Nest,
    dir: PathBuf,
}

impl<'a> Engine<'a> {
    /// `first`: the state of each new run.
    pub fn new(nest: &'a Nest, first: &str) -> Self {
        let dir = nest.file("engine");
        for name in ["runs", "new"] {
            std::fs::create_dir_all(dir.join(name)).unwrap();
        }
        for verb in ["submit", "status", "cancel", "logs"] {
            write_program(dir.join(verb), LAUNCHER);
        }
        let engine = Self { nest, dir };
        engine.first(first);
        nest.ok(&["queue", "set", "far", "--launcher", "engine", "--slots", "100", "--launcher-option", "interval=100ms"]);
        engine
    }

    /// The state of each new run from now on.
    pub fn first(&self, state: &str) {
        self.write("first", &format!("{state}\n"));
    }

    /// Lets an executable do this first, or last.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.dir.join("being-written");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.dir.join(name)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.join(name)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// The names of all runs that the engine has or had.
    pub fn accepted(&self) -> Vec<String> {
        let runs = std::fs::read_dir(self.dir.join("runs")).unwrap();
        runs.map(|run| run.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The calls of an executable.
    pub fn calls(&self, verb: &str) -> usize {
        self.read("calls").lines().filter(|line| line.split(' ').next() == Some(verb)).count()
    }

    /// Waits until an executable has been called so often again.
    pub fn until_called(&self, verb: &str, times: usize) {
        let before = self.calls(verb);
        until("calls of the launcher", || (self.calls(verb) >= before + times).then_some(()));
    }

    /// The name of the run of a job that the engine has.
    pub fn name(&self, job: i64) -> String {
        until("the engine to have it", || {
            let nonce: Option<String> = self
                .nest
                .sql()
                .query_row("SELECT run.nonce FROM run JOIN job ON job.run_id = run.id WHERE job.id = ?1", [job], |row| row.get(0))
                .ok();
            nonce.map(|nonce| format!("tenure-{nonce}")).filter(|name| self.accepted().contains(name))
        })
    }

    /// Sets what the engine says of the run of a job.
    pub fn says(&self, job: i64, state: &str) {
        self.write(&format!("runs/{}/state", self.name(job)), &format!("{state}\n"));
    }

    /// Adds a job to the queue `far`.
    pub fn add(&self, options: &[&str]) -> i64 {
        self.nest.add(&[&["-q", "far"], options, &["--", "far", "away"]].concat())
    }

    /// No run was submitted twice, or more runs than so many.
    pub fn has_accepted(&self, n: usize) {
        assert_eq!((self.accepted().len(), self.read("twice").as_str()), (n, ""), "{}", self.read("calls"));
    }
}

/// The state and the reason of a job.
pub fn came(job: &Value) -> (String, String) {
    let text = |key: &str| job[key].as_str().unwrap_or("-").to_owned();
    (text("state"), text("reason"))
}
