//! From an added job to its first command.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::nest::Nest;
use crate::numbers::percentile;

/// From the start of an idle `tenure add` to the first instruction of the job, against a bare spawn.
pub fn latency() {
    const N: usize = 200;
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    let stamp = nest.0.path().join("stamp");
    let (mut ours, mut bare) = (vec![], vec![]);
    for _ in 0..N {
        let touch = format!("cat /proc/uptime >/dev/null; date +%s%N >{}.new && mv {0}.new {0}", stamp.display());
        let begun = now_ns();
        nest.ok(&["add", "--", "/bin/sh", "-c", &touch]);
        ours.push((wait_for_stamp(&stamp) - begun) / 1e6);
        let begun = now_ns();
        assert!(Command::new("/bin/sh").args(["-c", &touch]).status().expect("sh").success());
        bare.push((wait_for_stamp(&stamp) - begun) / 1e6);
    }
    let (p50, p99) = (percentile(&mut ours, 0.5), percentile(&mut ours, 0.99));
    let (b50, b99) = (percentile(&mut bare, 0.5), percentile(&mut bare, 0.99));
    println!(
        "latency: idle `tenure add` to the job's first command: p50 {p50:.1} ms, p99 {p99:.1} ms; bare spawn of the same: p50 {b50:.1} ms, p99 {b99:.1} ms; ratio of p50 {:.1}",
        p50 / b50
    );
}

/// From a plain `sqlite3` insert to the job.
pub fn sql_latency() {
    const N: usize = 200;
    if Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("sql: there is no sqlite3 here");
        return;
    }
    let nest = Nest::new();
    let _worker = nest.work(&["--slots", "2"]);
    let stamp = nest.0.path().join("stamp");
    let mut ours = vec![];
    for _ in 0..N {
        let touch = format!("date +%s%N >{}.new && mv {0}.new {0}", stamp.display());
        let insert = format!(".timeout 5000\nINSERT INTO job(command) VALUES (json_array('/bin/sh', '-c', '{touch}'));\n");
        let begun = now_ns();
        let mut client = Command::new("sqlite3").arg("-bail").arg(nest.db()).stdin(Stdio::piped()).spawn().expect("sqlite3");
        client.stdin.take().expect("piped").write_all(insert.as_bytes()).expect("written");
        assert!(client.wait().expect("it ends").success());
        ours.push((wait_for_stamp(&stamp) - begun) / 1e6);
    }
    println!(
        "sql: plain sqlite3 insert to the job's first command: p50 {:.1} ms, p99 {:.1} ms",
        percentile(&mut ours, 0.5),
        percentile(&mut ours, 0.99)
    );
}

fn now_ns() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as f64
}

fn wait_for_stamp(path: &Path) -> f64 {
    loop {
        if let Ok(text) = std::fs::read_to_string(path)
            && let Ok(ns) = text.trim().parse::<f64>()
        {
            std::fs::remove_file(path).expect("removed");
            return ns;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
