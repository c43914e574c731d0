//! A launch with nothing special, and the header of its run file; the benches use it too.

use std::path::Path;

use tenure::job::RunId;
use tenure::place::Place;
use tenure::run::{Header, Launch, machine};

pub fn launch_in(dir: &Path, place: &Place, run: RunId, argv: &[&str]) -> Launch {
    use std::os::unix::ffi::OsStrExt;
    Launch {
        run,
        nonce: machine::nonce(),
        argv: argv.iter().map(|a| a.as_bytes().to_vec()).collect(),
        env: vec![(b"PATH".to_vec(), b"/usr/local/bin:/usr/bin:/bin".to_vec())],
        cwd: dir.as_os_str().as_bytes().to_vec(),
        log: place.log_file(run),
        result: None,
        stdin: None,
        timeout_ms: None,
        max_runtime_ms: None,
        grace_ms: 10_000,
        warn: None,
        idle_timeout_ms: None,
        waits_for_go: false,
        log_limit_bytes: 64 << 20,
        memory_bytes: None,
        memory_group: None,
        memory_kills: None,
        nice: None,
        user: None,
        owner: None,
    }
}

pub fn header(launch: &Launch) -> Header {
    Header {
        file_id: "test".into(),
        run: launch.run,
        nonce: launch.nonce,
        boot_id: machine::boot_id(),
        pid_ns: machine::pid_namespace(),
        pid_ns_ends: false,
        asks: false,
    }
}
