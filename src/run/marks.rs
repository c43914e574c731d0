//! How a process is recognized as part of a run when there is no shim.
//!
//! Every process of a run carries two marks that it inherits and has no reason to remove: the nonce
//! in the environment that it was started with (the cookie), and the soft limit of its real-time
//! budget (`RLIMIT_RTTIME`), which is set to a number drawn from the nonce. That number exceeds any
//! budget, so it limits nothing. The kernel shows the limits of a process to every user, even if
//! its environment may not be read: for another user's process, a setuid program, or one that made
//! itself non-dumpable.
//!
//! | what is seen of a living process | it belongs to the run |
//! | --- | --- |
//! | the cookie, in the environment of one of its threads | yes |
//! | the limit of the run | yes |
//! | an environment that may be read, without the cookie, and no limit of the run | no: it has removed both |
//! | an environment that may not be read, and an ancestor with a mark | yes: what a process of a run starts, or adopts, is the run's |
//! | the same, and a leader of its session or group with a mark | yes: no process enters a session from outside |
//! | the same, no mark anywhere, limits that may be read, and the run has set its limit | no |
//! | the same, and its session is not of this pid namespace (number 0) | no: a shim makes its session in its own namespace |
//! | the same, and it or the leader of its session or group was started before the run | no |
//! | the same, and none of its users is ours | no: without a limit only a setuid program could be meant, whose kin would carry the cookie |
//! | anything else | not known |
//!
//! An unknown process is neither killed nor considered gone: the run stays open, and the process is
//! named as a problem. That is rare: the run could not set its limit (`RLIMIT_RTTIME` was limited
//! already), or `/proc` is mounted with `hidepid`.
//!
//! A job that root's worker runs as another user cannot change that user (`no_new_privs`), but it
//! can give its marks and its log away: its cookie to a program that root starts, its log to a
//! daemon that accepts descriptors. Of such a run only processes of its user count.
//!
//! A process is dead when all its threads are ([`Stat::is_dead`]); a dead process belongs to no
//! run.

use std::fs::{self, File};
use std::io::{self, Read};

use crate::job::Nonce;

use super::launch::COOKIE;
use super::process::{Stat, threads};

/// Most that is read from an environment, in bytes; the kernel accepts less.
const ENVIRON_BYTES_MAX: u64 = 8 << 20;
/// Most ancestors of a process that are examined.
const ANCESTORS_MAX: usize = 64;
/// Set in each limit that marks a run: some 146,000 years of real-time budget.
const LIMIT_BIT: u64 = 1 << 62;

/// The limit that marks the processes of a run.
pub(super) fn limit_of(nonce: Nonce) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = nonce.0;
    LIMIT_BIT | (u64::from_le_bytes([a, b, c, d, e, f, g, h]) & (LIMIT_BIT - 1))
}

/// Whether a limit marks any run.
pub(super) fn marks_a_run(limit: u64) -> bool {
    limit >> 62 == 1
}

/// Whether a process carries the limit of a run other than this.
pub(super) fn is_of_another_run(pid: i32, nonce: Nonce) -> bool {
    matches!(soft_limit(pid), Limit::Is(limit) if marks_a_run(limit) && limit != limit_of(nonce))
}

/// Whether a process belongs to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belongs {
    Yes,
    No,
    NotKnown,
}

/// The marks of one run.
pub(super) struct Marks {
    cookie: Vec<u8>,
    limit: u64,
    /// The run has set its limit before its command was executed.
    has_limit: bool,
    /// No process of the run was started before this, in ticks since the boot.
    begun_ticks: Option<u64>,
    us: u32,
    /// The user that every process of the run has, if the run cannot have others.
    only: Option<u32>,
}

impl Marks {
    pub fn new(nonce: Nonce, has_limit: bool, begun_ticks: Option<u64>) -> Self {
        let us = rustix::process::geteuid().as_raw();
        Self { cookie: format!("{COOKIE}={nonce}").into_bytes(), limit: limit_of(nonce), has_limit, begun_ticks, us, only: None }
    }

    /// Of a run whose processes all have this user, if there is one.
    pub fn only_of(self, user: Option<u32>) -> Self {
        Self { only: user, ..self }
    }

    /// Whether a process has a user that no process of the run has: it does not belong to the run,
    /// with any mark. False if its users cannot be read.
    pub fn excludes(&self, pid: i32) -> bool {
        self.only.is_some_and(|only| users(pid).is_some_and(|users| users.iter().any(|user| *user != only)))
    }

    /// Examines a process. To be repeated with a pidfd before anything is done to it.
    pub fn of(&self, pid: i32) -> Belongs {
        if self.excludes(pid) {
            return Belongs::No;
        }
        let seen = match entry_of(pid, &self.cookie) {
            Entry::There => Belongs::Yes,
            Entry::NotThere if self.is_limited(pid) => Belongs::Yes,
            Entry::NotThere => Belongs::No,
            Entry::Unreadable => self.by_what_everybody_sees(pid),
        };
        // A dead process keeps its limits until its parent waits for it.
        if seen != Belongs::No && Stat::of(pid).is_none_or(|stat| stat.is_dead()) { Belongs::No } else { seen }
    }

    fn by_what_everybody_sees(&self, pid: i32) -> Belongs {
        let limit = soft_limit(pid);
        if matches!(limit, Limit::Is(limit) if limit == self.limit) {
            return Belongs::Yes;
        }
        let Some(stat) = Stat::of(pid) else { return Belongs::No };
        let leaders = [stat.session, stat.group];
        let kin = ancestors(&stat).into_iter().chain(leaders).filter(|kin| *kin != pid && *kin > 1);
        if kin.into_iter().any(|kin| self.carries_a_mark(kin)) {
            return Belongs::Yes;
        }
        let is_from_before =
            |pid: i32| self.begun_ticks.is_some_and(|begun| Stat::of(pid).is_some_and(|stat| stat.start_ticks < begun));
        let is_foreign = (self.has_limit && limit != Limit::Unreadable)
            || stat.session == 0
            || is_from_before(pid)
            || leaders.into_iter().any(is_from_before)
            || users(pid).is_some_and(|users| !users.contains(&self.us));
        if is_foreign { Belongs::No } else { Belongs::NotKnown }
    }

    fn carries_a_mark(&self, pid: i32) -> bool {
        pid != std::process::id().cast_signed() && (entry_of(pid, &self.cookie) == Entry::There || self.is_limited(pid))
    }

    fn is_limited(&self, pid: i32) -> bool {
        matches!(soft_limit(pid), Limit::Is(limit) if limit == self.limit)
    }
}

/// Returns the ancestors from the parent upwards, without the first process of the namespace.
fn ancestors(stat: &Stat) -> Vec<i32> {
    let mut found: Vec<i32> = Vec::new();
    let mut parent = stat.parent;
    while parent > 1 && found.len() < ANCESTORS_MAX && !found.contains(&parent) {
        found.push(parent);
        parent = Stat::of(parent).map_or(0, |stat| stat.parent);
    }
    found
}

/// Whether a process was started with this environment entry, as far as it may be read. A dead one
/// has none.
pub(super) fn carries(pid: i32, entry: &[u8]) -> bool {
    entry_of(pid, entry) == Entry::There
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    There,
    NotThere,
    Unreadable,
}

/// Reads the main thread first; if it has ended and has none, the others.
fn entry_of(pid: i32, entry: &[u8]) -> Entry {
    match entry_in(&format!("/proc/{pid}/environ"), entry) {
        Some(seen) => seen,
        None => {
            let others = threads(pid).into_iter().filter(|thread| *thread != pid);
            others
                .filter_map(|thread| entry_in(&format!("/proc/{pid}/task/{thread}/environ"), entry))
                .next()
                .unwrap_or(Entry::NotThere)
        }
    }
}

/// `None`: it is empty, or, with newer kernels, it does not exist.
fn entry_in(path: &str, entry: &[u8]) -> Option<Entry> {
    let unless_gone = |error: io::Error| match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Some(Entry::Unreadable),
        Some(libc::ESRCH) => None,
        _ => Some(Entry::NotThere),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return unless_gone(error),
    };
    match contains_entry(file, entry) {
        Ok(Search::Empty) => None,
        Ok(Search::Found) => Some(Entry::There),
        Ok(Search::NotFound) => Some(Entry::NotThere),
        Err(error) => unless_gone(error),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    Empty,
    Found,
    NotFound,
}

/// Whether one of the NUL-terminated entries equals `wanted`. Reads in pieces.
fn contains_entry(source: impl Read, wanted: &[u8]) -> io::Result<Search> {
    let mut source = source.take(ENVIRON_BYTES_MAX);
    let mut chunk = [0; 4096];
    let mut is_empty = true;
    // How much of `wanted` the current entry has matched; `None` when it is another one.
    let mut matched = Some(0);
    loop {
        let n = match source.read(&mut chunk) {
            Ok(0) if is_empty => return Ok(Search::Empty),
            Ok(0) => return Ok(if matched == Some(wanted.len()) { Search::Found } else { Search::NotFound }),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        is_empty = false;
        for byte in &chunk[..n] {
            if *byte == 0 {
                if matched == Some(wanted.len()) {
                    return Ok(Search::Found);
                }
                matched = Some(0);
            } else {
                matched = matched.filter(|so_far| wanted.get(*so_far) == Some(byte)).map(|so_far| so_far + 1);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Is(u64),
    Unlimited,
    Unreadable,
}

/// The soft limit of a process's real-time budget.
fn soft_limit(pid: i32) -> Limit {
    match fs::read_to_string(format!("/proc/{pid}/limits")) {
        Ok(text) => soft_limit_in(&text),
        Err(_) => Limit::Unreadable,
    }
}

fn soft_limit_in(limits: &str) -> Limit {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"));
    match line.and_then(|line| line.split_whitespace().next()) {
        Some("unlimited") => Limit::Unlimited,
        Some(number) => number.parse().map_or(Limit::Unreadable, Limit::Is),
        None => Limit::Unreadable,
    }
}

/// The real, effective, saved and file system user of a process.
fn users(pid: i32) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as a thread of another user, who may read no environment of this user but every limit.
    fn as_another_user<T: Send>(look: impl FnOnce() -> T + Send) -> T {
        const OTHER_UID: libc::uid_t = 65_534;
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                // SAFETY: the bare call changes the user of this thread alone, and the thread ends
                // here.
                assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, OTHER_UID, OTHER_UID, OTHER_UID) }, 0);
                look()
            });
            looks.join().unwrap()
        })
    }

    /// A shell that waits for a child, which has no limit and prints its pid: with `limit`, and in
    /// its own group.
    fn family(limit: u64, line: &str) -> (std::process::Child, i32) {
        use std::io::BufRead;
        use std::os::unix::process::CommandExt;
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line]).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).process_group(0);
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: one system call between fork and exec.
        unsafe {
            shell.pre_exec(move || match libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            })
        };
        let mut shell = shell.spawn().unwrap();
        let mut said = String::new();
        io::BufReader::new(shell.stdout.take().unwrap()).read_line(&mut said).unwrap();
        (shell, said.trim().parse().unwrap())
    }

    #[test]
    fn what_may_not_be_read_belongs_where_its_relatives_do() {
        if !rustix::process::geteuid().is_root() {
            println!("NOT TESTED: environments that may not be read (it needs root)");
            return;
        }
        let (ours, other) = (Nonce([7; 16]), Nonce([8; 16]));
        // The last process of each family removes its limit, prints its pid, and stays.
        let last = "prlimit --rttime=unlimited:unlimited sh -c 'echo $$; exec sleep 600'";
        for (relative, line, expected) in [
            ("its parent", format!("{last} & wait"), Belongs::Yes),
            ("its parent, in another session", format!("setsid {last} & wait"), Belongs::Yes),
            (
                "its parent's parent",
                format!("prlimit --rttime=unlimited:unlimited sh -c 'setsid {} & wait' & wait", last.replace('\'', "'\\''")),
                Belongs::Yes,
            ),
            ("the leader of its group", format!("({last} &); exec sleep 600"), Belongs::Yes),
            ("none", format!("(setsid {last} &); exec sleep 600"), Belongs::No),
        ] {
            for limit in [ours, other] {
                let (mut shell, pid) = family(limit_of(limit), &line);
                // A subshell that started it in the background is its parent until it has ended.
                let parent_of = |pid: i32| Stat::of(pid).map(|stat| stat.parent);
                while line.starts_with('(') && parent_of(pid).and_then(parent_of) == Some(shell.id().cast_signed()) {
                    std::thread::yield_now();
                }
                let seen = as_another_user(|| Marks::new(ours, true, None).of(pid));
                let unsure = as_another_user(|| Marks::new(ours, false, None).of(pid));
                rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
                    .unwrap();
                shell.kill().unwrap();
                shell.wait().unwrap();
                let expected = if limit == ours { expected } else { Belongs::No };
                assert_eq!(seen, expected, "{relative}, of the run: {}", limit == ours);
                assert_eq!(unsure, expected, "{relative}, of the run: {}", limit == ours);
            }
        }
    }

    #[test]
    fn only_a_whole_entry_counts() {
        let has = |bytes: &[u8]| contains_entry(bytes, b"A=12").unwrap();
        assert_eq!(has(b"A=12\0"), Search::Found);
        assert_eq!(has(b"B=1\0A=12\0C=2\0"), Search::Found);
        assert_eq!(has(b"A=1\0A=12"), Search::Found);
        assert_eq!(has(b""), Search::Empty);
        for other in [&b"\0\0"[..], b"A=123\0", b"XA=12\0", b"A=1\0", b"B=A=12\0", b"a=12\0"] {
            assert_eq!(has(other), Search::NotFound, "{other:?}");
        }
    }

    #[test]
    fn an_entry_across_two_pieces_is_found() {
        for before in 4080..4110 {
            let bytes = [&vec![b'x'; before][..], b"\0A=12\0"].concat();
            assert_eq!(contains_entry(bytes.as_slice(), b"A=12").unwrap(), Search::Found, "{before}");
        }
    }

    #[test]
    fn limits_are_read_as_the_kernel_prints_them() {
        let line = |soft: &str| {
            format!(
                "Max realtime priority     0                    0                    \nMax realtime timeout      {soft:<20} unlimited            us        \n"
            )
        };
        assert_eq!(soft_limit_in(&line("unlimited")), Limit::Unlimited);
        assert_eq!(soft_limit_in(&line("200000")), Limit::Is(200_000));
        let mark = limit_of(Nonce([0xff; 16]));
        assert_eq!(soft_limit_in(&line(&mark.to_string())), Limit::Is(mark));
        assert_eq!(soft_limit_in(""), Limit::Unreadable);
    }

    #[test]
    fn a_mark_is_known_as_one_and_is_neither_a_real_limit_nor_none() {
        for nonce in [Nonce([0; 16]), Nonce([0xff; 16]), Nonce([0x5a; 16])] {
            assert!(marks_a_run(limit_of(nonce)));
        }
        assert_ne!(limit_of(Nonce([1; 16])), limit_of(Nonce([2; 16])));
        for other in [0, 200_000, u64::MAX, libc::RLIM_INFINITY, u64::MAX >> 2] {
            assert!(!marks_a_run(other), "{other}");
        }
    }
}
