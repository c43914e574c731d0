//! A client that is not the program: nonsense, silence, floods, and another user's words.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::{ANN, BOB, Town, can_be_several, connected, uid};
use crate::support::{Dice, PATIENCE, seed, until};

/// Runs in a thread that is this user; the kernel records the user of the thread that connects.
fn as_user<T: Send>(user: &str, act: impl FnOnce() -> T + Send) -> T {
    let uid = uid(user);
    std::thread::scope(|scope| {
        let acts = scope.spawn(move || {
            // SAFETY: the bare calls change this thread alone, and the thread ends here.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()), 0);
                assert_eq!(libc::syscall(libc::SYS_setresgid, uid, uid, uid), 0);
                assert_eq!(libc::syscall(libc::SYS_setresuid, uid, uid, uid), 0);
            }
            act()
        });
        acts.join().unwrap()
    })
}

/// The answer without its length; `None`: the connection was closed, or there was no place.
fn answer(socket: &OwnedFd) -> Option<String> {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let mut all = Vec::new();
    loop {
        assert_eq!(poll(&mut [PollFd::new(&socket.as_fd(), PollFlags::IN)], Some(&patience)), Ok(1), "an answer or the end");
        let mut bytes = vec![0; 1 << 16];
        let n = rustix::net::recv(socket, bytes.as_mut_slice(), RecvFlags::empty()).map_or(0, |(n, _)| n);
        if n == 0 {
            return None;
        }
        all.extend_from_slice(&bytes[..n]);
        let length = u32::from_le_bytes(all[..4].try_into().unwrap()) as usize;
        if all.len() >= 4 + length {
            return (length > 0).then(|| String::from_utf8(all[4..].to_vec()).unwrap());
        }
    }
}

fn request(text: &str) -> Vec<u8> {
    format!("tenure {} {}\n{text}", env!("CARGO_PKG_VERSION"), tenure::store::USER_VERSION).into_bytes()
}

fn ask(town: &Town, user: &str, bytes: &[u8]) -> Option<String> {
    let socket = town.socket();
    as_user(user, || {
        let client = until("a place", || connected(&socket));
        rustix::net::send(&client, bytes, SendFlags::NOSIGNAL).ok()?;
        answer(&client)
    })
}

fn count(town: &Town) -> i64 {
    town.nest.sql().query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap()
}

fn add_as_json(extra: &str, sent_ms: u64) -> String {
    let token = [7; 16].map(|n: u8| n.to_string()).join(",");
    let job = serde_json::to_string(&tenure::job::NewJob::new(tenure::job::Argv::from_strs(&["id"]).unwrap())).unwrap();
    let job = job.replacen('{', &format!("{{{extra}"), 1);
    format!(r#"{{"Add":{{"key":{{"sent_ms":{sent_ms},"token":[{token}]}},"jobs":[{job}]}}}}"#)
}

#[test]
fn nonsense_is_answered_and_changes_nothing() {
    if !can_be_several("hostile clients") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&["--queue", "of-no-job"], &[]);
    let mut dice = Dice::new(seed());
    let whole = request(&add_as_json("", tenure::run::machine::boottime_ms()));
    let mut added = 0;
    for _ in 0..200 {
        let mut bytes = whole[..(dice.below(whole.len() as u64) as usize).max(1)].to_vec();
        let at = dice.below(bytes.len() as u64) as usize;
        bytes[at] = bytes[at].wrapping_add(1 + dice.below(255) as u8);
        let said = ask(&town, ANN, &bytes).expect("an answer");
        assert!(said.contains("Refused"), "{said}");
    }
    for bytes in [
        vec![b'x'; 60 << 10],
        request(&"[".repeat(30_000)),
        request("null"),
        request("{\"Shell\":\"id\"}"),
        b"tenure 0.0.0 1\n{}".to_vec(),
    ] {
        let said = ask(&town, ANN, &bytes).expect("an answer");
        assert!(said.contains("Refused"), "{said}");
    }
    // Too long for the worker's buffer: it is not cut to something that is right.
    let padded = [&whole[..], &vec![b' '; 100 << 10][..]].concat();
    added += ask(&town, ANN, &padded).filter(|said| said.contains("Added")).map_or(0, |_| 1);
    assert_eq!((count(&town), added), (0, 0));
    assert!(ask(&town, ANN, &whole).unwrap().contains("Added"), "the worker serves");
    assert!(ask(&town, ANN, &whole).unwrap().contains("Added"), "the same request adds nothing more");
    assert_eq!(count(&town), 1);
}

#[test]
fn a_request_says_nothing_of_who_asks() {
    if !can_be_several("hostile clients") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&[], &[]);
    let now = tenure::run::machine::boottime_ms();
    for extra in [r#""owner":0,"#, r#""owner":2,"#, r#""uid":0,"#] {
        let said = ask(&town, ANN, &request(&add_as_json(extra, now))).unwrap();
        assert!(said.contains("Refused"), "{extra}: {said}");
    }
    for sent_ms in [0, now.saturating_sub(61_000), now + 60_000, u64::MAX] {
        let said = ask(&town, ANN, &request(&add_as_json("", sent_ms))).unwrap();
        assert!(said.contains("too old"), "{sent_ms}: {said}");
    }
    assert_eq!(count(&town), 0);
    assert!(ask(&town, ANN, &request(&add_as_json("", tenure::run::machine::boottime_ms()))).unwrap().contains("Added"));
    assert_eq!(town.job("1")["owner"], uid(ANN));
}

#[test]
fn descriptors_that_come_with_a_request_are_closed() {
    if !can_be_several("hostile clients") {
        return;
    }
    let town = Town::new();
    let worker = town.work(&[], &[]);
    let socket = town.socket();
    // A file of the test: what the worker opens for itself meanwhile is not counted.
    let sent = town.nest.file("sent");
    let file = std::fs::File::create(&sent).unwrap();
    let held = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", worker.pid())).unwrap();
        open.filter(|fd| fd.as_ref().is_ok_and(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link == sent))).count()
    };
    for _ in 0..50 {
        as_user(ANN, || {
            let client = until("a place", || connected(&socket));
            let fds = [file.as_fd(); 20];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            assert!(rights.push(SendAncillaryMessage::ScmRights(&fds)));
            let bytes = request("\"Status\"");
            rustix::net::sendmsg(&client, &[IoSlice::new(&bytes)], &mut rights, SendFlags::NOSIGNAL).unwrap();
            assert!(answer(&client).unwrap().contains("Status"));
        });
    }
    until("all that were sent to be closed", || (held() == 0).then_some(()));
}

#[test]
fn a_flood_of_one_user_delays_no_other() {
    if !can_be_several("hostile clients") {
        return;
    }
    let town = Town::new();
    let _worker = town.work(&["--queue", "of-no-job"], &[]);
    let socket = town.socket();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (is_over, socket) = (&is_over, &socket);
        // Silent ones, those that do not read, and those that ask without a pause.
        scope.spawn(move || {
            as_user(ANN, || {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let silent: Vec<_> = (0..200).filter_map(|_| connected(socket)).collect();
                    for client in silent.iter().take(100) {
                        let _closed = rustix::net::send(client, &request("{\"Jobs\":{\"ids\":[],\"queue\":null,\"label\":null,\"states\":[],\"all\":true,\"mine\":false,\"since_ms\":null,\"limit\":500}}"), SendFlags::NOSIGNAL);
                    }
                }
            });
        });
        let ids: Vec<String> = (0..5).map(|_| town.add(BOB, &["--hold", "--", "true"])).collect();
        let listed = town.say(BOB, &["ls", "--json"]);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(ids.len() == 5 && listed.code == 0, "{listed:?}");
    });
    until("its own places to be free again", || (town.say(ANN, &["status"]).code == 0).then_some(()));
}

#[test]
fn only_a_socket_of_root_in_a_directory_of_root_counts() {
    if !can_be_several("sockets of users") {
        return;
    }
    let town = Town::new();
    // A user listens where no worker does.
    let fake = town.nest.file("fake");
    std::fs::create_dir(&fake).unwrap();
    std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o777)).unwrap();
    let path = fake.join("system.sock");
    let _listener = as_user(ANN, || {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        rustix::net::listen(&socket, 5).unwrap();
        socket
    });
    let mut add = town.tenure(BOB, &["add", "--", "secret"]);
    let said = crate::support::said(add.env("TENURE_PEOPLE_SOCKET", &path).output().unwrap());
    assert!(said.code == 6 && said.err.contains("nothing was sent"), "{said:?}");
    // A worker listens in no such directory, and a file that others may write is refused as before.
    for (what, words) in [(path.clone(), "only root writes"), (town.nest.file("q.db"), "not a socket")] {
        let mut work = town.nest.tenure(&["work", "--system", "--until-idle"]);
        let said = crate::support::said(work.env("TENURE_PEOPLE_SOCKET", &what).output().unwrap());
        assert!(said.code != 0 && said.err.contains(words), "{said:?}");
    }
    std::fs::set_permissions(town.nest.db(), PermissionsExt::from_mode(0o666)).unwrap();
    let shared = crate::support::said(
        town.nest.tenure(&["work", "--system"]).env("TENURE_PEOPLE_SOCKET", town.socket()).output().unwrap(),
    );
    assert_eq!(shared.code, 4, "{shared:?}");
    let unprivileged = crate::support::said(town.tenure(ANN, &["work"]).output().unwrap());
    assert_eq!(unprivileged.code, 2, "{unprivileged:?}");
}
