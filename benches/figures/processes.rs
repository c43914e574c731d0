//! What the kernel says of a process.

/// CPU time of a process in milliseconds.
pub fn cpu_ms(pid: u32) -> f64 {
    threads_cpu_ms(pid).iter().map(|(_, ms)| ms).sum()
}

/// CPU time of each thread of a process in milliseconds, from the scheduler's own nanoseconds, with
/// its name.
pub fn threads_cpu_ms(pid: u32) -> Vec<(String, f64)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let thread = |task: std::fs::DirEntry| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        Some((read("comm")?.trim().to_owned(), read("schedstat")?.split(' ').next()?.parse::<f64>().ok()? / 1e6))
    };
    tasks.flatten().filter_map(thread).collect()
}

pub fn family(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while next < all.len() {
        all.extend(children(all[next]));
        next += 1;
    }
    all
}

pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

pub fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

pub fn pss_kb(pid: u32) -> Option<u64> {
    rollup_kb(pid, "Pss:")
}

pub fn rss_kb(pid: u32) -> u64 {
    rollup_kb(pid, "Rss:").unwrap_or_default()
}

/// A line of the sums over all mappings of a process.
pub fn rollup_kb(pid: u32, key: &str) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|line| line.strip_prefix(key)?.trim().trim_end_matches(" kB").parse().ok())
}

/// CPU time of a process and of the children that it has reaped, in milliseconds; 0 if it is gone,
/// as its parent counts it then.
pub fn cpu_with_children_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(4).map(|field| field.parse::<f64>().expect("a number")).sum::<f64>() * 10.0
}

/// Whether a process has ended and waits to be reaped.
pub fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('Z'))
}

/// How often each thread of a process has gone to sleep, with its name.
pub fn sleeps(pid: u32) -> Vec<(u32, String, u64)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    let thread = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let line = |key: &str| Some(status.lines().find_map(|line| line.strip_prefix(key))?.trim().to_owned());
        let id = task.file_name().to_string_lossy().parse().ok()?;
        Some((id, line("Name:")?, line("voluntary_ctxt_switches:")?.parse().ok()?))
    };
    tasks.flatten().filter_map(thread).collect()
}
