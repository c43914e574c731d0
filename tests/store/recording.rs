//! What a program did to the disk, recorded with strace: each write, sync, creation and removal, and each word that it gave.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use crate::store::helper;
pub use crate::support::strace::has_strace;
use crate::support::strace::{Call, bytes, calls, quoted, strace, unescape};

/// A file, by any of its names.
pub type Inode = usize;

#[derive(Debug)]
pub enum Op {
    Create { name: String, inode: Inode },
    Remove { name: String, inode: Inode },
    Write { inode: Inode, at: usize, data: Vec<u8> },
    Truncate { inode: Inode, len: usize },
    Sync { inode: Inode },
    SyncDirectory,
}

/// A call. It was entered and it returned at these instants (line numbers): a sync covers only what had returned when it was entered.
#[derive(Debug)]
pub struct Event {
    pub entered: usize,
    pub returned: usize,
    pub op: Op,
}

#[derive(Debug, Default)]
pub struct Recording {
    pub events: Vec<Event>,
    /// When each acknowledgement was written, and its tag.
    pub acks: Vec<(usize, String)>,
}

const CALLS: &str = "trace=pwrite64,write,fdatasync,fsync,ftruncate,unlink,unlinkat,openat,mknodat,fallocate,rename,renameat2";

/// Runs a workload in `dir` under strace.
pub fn record(workload: &str, scheme: &str, dir: &Path) -> Recording {
    let log = dir.join("strace");
    let place = dir.join("db");
    std::fs::create_dir(&place).unwrap();
    let program = helper::command(workload, &place.join("t.db"), scheme);
    let mut strace = strace();
    if workload == "worker" {
        // Commits then come while a flush is under way, which does not count for them.
        strace.args(["-e", "inject=fdatasync:delay_enter=20000"]);
    }
    strace.args(["-xx", "-y", "-s", "400000", "-e", CALLS, "-e", "signal=none", "-o"]).arg(&log).arg(program.get_program());
    strace.args(program.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
    helper::with_program(&mut strace, workload, &place.join("t.db"), scheme);
    let status = strace.status().expect("this test needs strace: apt-get install strace");
    assert!(status.success(), "{workload} {scheme}: {status}");
    parse(&String::from_utf8(std::fs::read(&log).unwrap()).unwrap(), &place)
}

fn parse(log: &str, dir: &Path) -> Recording {
    let mut parser = Parser { dir: dir.to_str().unwrap().to_owned(), ..Parser::default() };
    for call in calls(log) {
        if let Some((args, result)) = call.text.rsplit_once(") ")
            && result.trim_start().starts_with("= ")
            && !result.contains("= -")
        {
            parser.take(&call, args.trim_end());
        }
    }
    parser.recording
}

#[derive(Default)]
struct Parser {
    dir: String,
    recording: Recording,
    named: HashMap<String, Inode>,
    removed: HashMap<String, Inode>,
    inodes: usize,
}

impl Parser {
    fn take(&mut self, call: &Call<'_>, args: &str) {
        let op = match call.name {
            "openat" if args.contains("O_CREAT") => self.create(args),
            "mknodat" => self.create(args),
            "unlink" | "unlinkat" => self.remove(args),
            "rename" | "renameat2" => {
                assert!(self.our_name(&quoted(args)).is_none(), "the model knows no renaming of the file: {args}");
                None
            }
            "write" if args.starts_with("1<") => {
                let said = String::from_utf8_lossy(&bytes(args)).into_owned();
                let acks = said.split("ACK ").skip(1).filter_map(|rest| rest.split_whitespace().next());
                self.recording.acks.extend(acks.map(|tag| (call.entered, tag.to_owned())));
                None
            }
            _ => self.on_descriptor(call.name, args),
        };
        if let Some(op) = op {
            self.recording.events.push(Event { entered: call.entered, returned: call.returned, op });
        }
    }

    /// The name of a file of the database, without that of `-shm`, which a power cut empties in any case.
    fn our_name(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.dir)?.strip_prefix("/t.db")?;
        matches!(name, "" | "-wal" | "-journal").then(|| name.to_owned())
    }

    fn create(&mut self, args: &str) -> Option<Op> {
        let name = self.our_name(&quoted(args))?;
        if self.named.contains_key(&name) {
            return None;
        }
        self.inodes += 1;
        self.named.insert(name.clone(), self.inodes);
        Some(Op::Create { name, inode: self.inodes })
    }

    fn remove(&mut self, args: &str) -> Option<Op> {
        let name = self.our_name(&quoted(args))?;
        let inode = self.named.remove(&name)?;
        self.removed.insert(name.clone(), inode);
        Some(Op::Remove { name, inode })
    }

    fn on_descriptor(&mut self, name: &str, args: &str) -> Option<Op> {
        let (path, after) = args.split_once('<')?.1.split_once('>')?;
        let path = String::from_utf8(unescape(path)).ok()?;
        let is_sync = matches!(name, "fsync" | "fdatasync");
        if path == self.dir {
            return is_sync.then_some(Op::SyncDirectory);
        }
        let file = self.our_name(&path)?;
        let inode = if after.starts_with("(deleted)") { self.removed.get(&file) } else { self.named.get(&file) };
        let inode = *inode.unwrap_or_else(|| panic!("a file that was never made: {args}"));
        let last = || args.rsplit(", ").next().unwrap().parse().unwrap();
        match name {
            "pwrite64" => Some(Op::Write { inode, at: last(), data: bytes(args) }),
            "ftruncate" => Some(Op::Truncate { inode, len: last() }),
            _ if is_sync => Some(Op::Sync { inode }),
            other => panic!("the model does not know {other} of the file"),
        }
    }
}
