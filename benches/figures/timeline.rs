//! What lies between an add and the first instruction of its job.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::nest::Nest;
use crate::numbers::{median, percentile};
use crate::plan::Plan;
use crate::processes::{children, comm, sleeps};
use crate::row::{Found, thousands};
use crate::stamp::{Stamps, now_ns};
use crate::trace::{Event, Trace, What, argument};

/// Between two adds, in milliseconds.
const REST_MS: u64 = 20;

/// A part of the way.
#[derive(Debug, Clone)]
pub struct Span {
    pub lane: &'static str,
    pub what: &'static str,
    /// In microseconds from the moment before the client is started.
    pub from: f64,
    pub to: f64,
}

/// The median of many adds.
pub struct Timeline {
    pub spans: Vec<Span>,
    adds: usize,
    /// From the start to the first instruction with the trace, and without it, in microseconds.
    traced: f64,
    plain: f64,
}

/// The processes that take part.
struct Parts {
    me: u32,
    worker: Vec<u32>,
    spawner: u32,
}

pub fn timeline(plan: &Plan) -> Found {
    let trace = match Trace::new() {
        Ok(trace) => trace,
        Err(why) => return Found::note(why),
    };
    let nest = Nest::new();
    let working = nest.work(&["--slots", "2"]);
    let mut stamps = Stamps::new(nest.0.path());
    let job = stamps.command();
    let adds = plan.of(10, 200, 500);
    let (mut all, mut traced, mut plain) = (vec![], vec![], vec![]);
    for n in 0..2 * adds + 4 {
        let with = n % 2 == 0;
        // The worker's threads may change with its first jobs.
        let parts = parts(working.pid());
        trace.switch(with);
        std::thread::sleep(Duration::from_millis(REST_MS));
        let begun = now_ns();
        nest.add(&job);
        let took = stamps.next().saturating_sub(begun) as f64 / 1e3;
        // The client, the flush and the shim are still on their way.
        std::thread::sleep(Duration::from_millis(REST_MS));
        trace.switch(false);
        let events = trace.take();
        if n < 4 {
            continue;
        }
        if with {
            traced.push(took);
            all.push(spans(&events, &parts, begun as f64 / 1e3, took));
        } else {
            plain.push(took);
        }
    }
    let timeline = Timeline { spans: medians(&all), adds, traced: median(traced), plain: median(plain) };
    Found { timeline: Some(timeline), ..Found::default() }
}

fn parts(worker: u32) -> Parts {
    let spawner = children(worker).into_iter().find(|pid| comm(*pid).starts_with("tenure-spawner")).unwrap_or_default();
    Parts { me: std::process::id(), worker: sleeps(worker).into_iter().map(|(id, _, _)| id).collect(), spawner }
}

/// The parts of one add. What is not found is left out: tenure may take another way.
fn spans(events: &[Event], parts: &Parts, begun_us: f64, took_us: f64) -> Vec<Span> {
    let at = |event: &Event| event.at_us - begun_us;
    let forked_by = |child: u32| {
        events.iter().find(|event| matches!(event.what, What::Fork(pid) if pid == child)).map(|event| (event.thread, at(event)))
    };
    let mut spans = vec![];
    let mut add = |lane, what, from: Option<f64>, to: Option<f64>| {
        if let (Some(from), Some(to)) = (from, to)
            && to >= from
        {
            spans.push(Span { lane, what, from, to });
        }
    };
    let all = |wanted: &dyn Fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).map(at).collect::<Vec<f64>>();

    let is_started =
        |event: &&Event| matches!(event.what, What::Exec) && forked_by(event.thread).is_some_and(|(by, _)| by == parts.me);
    let Some(client) = events.iter().find(is_started) else { return spans };
    let (client, executed) = (client.thread, at(client));
    add("client", "starts: fork, exec", Some(0.0), Some(executed));
    let of_client = |event: &Event| event.thread == client && at(event) > executed;
    let opened = all(&|event| of_client(event) && is_opening(event)).first().copied();
    add("client", "loads, parses its arguments", Some(executed), opened);
    let asked = all(&|event| of_client(event) && is_call(event, &["sendto", "sendmsg"])).first().copied();
    let flushes = all(&|event| of_client(event) && is_call(event, &["fdatasync"]));
    let flushed = all(&|event| of_client(event) && is_result(event, &["fdatasync"]));
    let written = all(&|event| of_client(event) && is_result(event, &["pwrite64"]));
    let committed = written.iter().copied().rfind(|at| flushes.first().is_none_or(|flush| at < flush));
    add("client", "opens the file, writes its row", opened, committed);
    add("client", "flushes the log", flushes.first().copied(), flushed.first().copied());
    add("client", "flushes again", flushes.get(1).copied(), flushed.get(1).copied());
    let answered = all(&|event| of_client(event) && is_result(event, &["recvfrom", "recvmsg", "read"]));
    let answered = answered.last().copied().filter(|at| committed.is_none() && asked.is_some_and(|asked| *at > asked));
    add("client", "asks the worker, has the answer", asked.filter(|_| committed.is_none()), answered);
    let ended = all(&|event| event.thread == client && matches!(event.what, What::Exit)).first().copied();
    add("client", "tells the worker and the user, ends", answered.or(asked), ended);

    // From here on backwards from the job.
    let is_job = |event: &&Event| matches!(event.what, What::Exec) && event.thread != client;
    let Some(job) = events.iter().rfind(is_job) else { return spans };
    let Some((shim, cloned)) = forked_by(job.thread) else { return spans };
    let launched = all(&|event| parts.worker.contains(&event.thread) && is_call(event, &["sendmsg"]) && at(event) < cloned);
    let launched = launched.last().copied();
    // The thread that claims: the last to write before the launch.
    let is_worker = |event: &&Event| parts.worker.contains(&event.thread);
    let claim = events
        .iter()
        .filter(is_worker)
        .rfind(|event| is_result(event, &["pwrite64"]) && launched.is_some_and(|launched| at(event) < launched));
    if let Some(claim) = claim {
        let claims = |event: &Event| event.thread == claim.thread;
        let woken =
            events.iter().filter(|event| claims(event) && is_result(event, &["futex", "ppoll", "recvfrom", "recvmsg", "read"]));
        let first_write = all(&|event| claims(event) && is_call(event, &["pwrite64"])).first().copied();
        let woken = woken.map(at).rfind(|at| first_write.is_some_and(|first| *at < first));
        add("worker", "is woken", committed.or(asked), woken);
        add("worker", "claims and commits", woken, Some(at(claim)));
        let later = |event: &Event| parts.worker.contains(&event.thread) && at(event) > at(claim);
        let flush = all(&|event| later(event) && is_call(event, &["fdatasync"])).first().copied();
        let end = all(&|event| later(event) && is_result(event, &["fdatasync"])).first().copied();
        add("flusher", "flushes the claim", flush, end);
        add("worker", "sends the launch", Some(at(claim)), launched);
    }
    let forked = forked_by(shim).filter(|(by, _)| *by == parts.spawner).map(|(_, at)| at);
    add("spawner", "receives it, forks the shim", launched, forked);
    let passes = |event: &Event| event.thread == parts.spawner && is_result(event, &["sendmsg"]) && at(event) < cloned;
    let passed = all(&passes).last().copied().filter(|at| forked.is_none() && launched.is_some_and(|launched| *at > launched));
    add("spawner", "passes it to a shim that waits", launched, passed);
    let forked = forked.or(passed);
    let of_shim = |event: &Event| event.thread == shim && at(event) < cloned;
    let waits = all(&|event| of_shim(event) && is_call(event, &["ppoll"])).last().copied();
    let goes = all(&|event| of_shim(event) && is_result(event, &["ppoll"])).last().copied();
    add("shim", "makes everything ready", forked.or(launched), waits);
    add("shim", "waits for the flush", waits, goes);
    add("shim", "starts the job: clone", goes.or(forked), Some(cloned));
    add("job", "exec", Some(cloned), Some(at(job)));
    add("job", "loads, first statement of main", Some(at(job)), Some(took_us));
    spans
}

fn is_call(event: &Event, names: &[&str]) -> bool {
    matches!(&event.what, What::Call(name, _) if names.contains(&name.as_str()))
}

fn is_result(event: &Event, names: &[&str]) -> bool {
    matches!(&event.what, What::Result(name, result) if names.contains(&name.as_str()) && *result >= 0)
}

/// Opens a file to write it, or connects to a socket.
fn is_opening(event: &Event) -> bool {
    match &event.what {
        What::Call(name, arguments) if name == "openat" => argument(arguments, "flags").is_some_and(|flags| flags & 3 == 2),
        What::Call(name, _) => name == "connect",
        _ => false,
    }
}

/// The median of each part, if most adds have it; in the order of their begin.
fn medians(all: &[Vec<Span>]) -> Vec<Span> {
    let mut by_name: BTreeMap<(&str, &str), Vec<&Span>> = BTreeMap::new();
    all.iter().flatten().for_each(|span| by_name.entry((span.lane, span.what)).or_default().push(span));
    let most = by_name.into_values().filter(|spans| spans.len() * 2 > all.len());
    let mut spans: Vec<Span> = most
        .map(|spans| {
            let from = median(spans.iter().map(|span| span.from).collect());
            let took = median(spans.iter().map(|span| span.to - span.from).collect());
            Span { from, to: from + took, ..spans[0].clone() }
        })
        .collect();
    spans.sort_by(|a, b| a.from.total_cmp(&b.from));
    spans
}

impl Timeline {
    pub fn text(&self) -> String {
        let mut text = format!("{:8}  {:38} {:>8} {:>8}\n", "process", "what", "from µs", "took µs");
        for span in &self.spans {
            let (from, took) = (thousands(span.from as i64), thousands((span.to - span.from) as i64));
            let _ = writeln!(text, "{:8}  {:38} {from:>8} {took:>8}", span.lane, span.what);
        }
        text + &self.cost() + "\n"
    }

    fn cost(&self) -> String {
        format!(
            "median of {} adds: {} µs to the first statement with the trace, {} µs without it, in turn",
            self.adds,
            thousands(self.traced as i64),
            thousands(self.plain as i64)
        )
    }

    pub fn markdown(&self) -> String {
        let mut text = "What lies between the start of an idle `tenure add` and its job's first instruction: the median of\n\
            many adds, each recorded by the kernel (ftrace: begin and end of some system calls, fork, exec).\n\n\
            ![The same as bars, a line for each process](performance/timeline.svg)\n\n"
            .to_owned();
        text += "| process | what | from (µs) | took (µs) |\n| --- | --- | ---: | ---: |\n";
        for span in &self.spans {
            let (from, took) = (thousands(span.from as i64), thousands((span.to - span.from) as i64));
            let _ = writeln!(text, "| {} | {} | {from} | {took} |", span.lane, span.what);
        }
        let cost = self.cost();
        text + &format!("\nThe trace has a cost of its own: {cost}.\n")
    }

    /// A line for each process, a bar for each part.
    pub fn svg(&self) -> String {
        const LANES: [&str; 6] = ["client", "worker", "flusher", "spawner", "shim", "job"];
        const COLOURS: [&str; 2] = ["#1f6fb2", "#7fb0d9"];
        let (width, left, top, row) = (900.0, 80.0, 60.0, 22.0);
        let all: Vec<f64> = self.spans.iter().map(|span| span.to).collect();
        let end = if all.is_empty() { 1.0 } else { percentile(&all, 1.0) };
        let across = |us: f64| left + us / end * (width - left - 24.0);
        let height = top + row * self.spans.len() as f64 + 50.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"system-ui, Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#24292f\">\n\
             <title>From an add to the first instruction of its job</title>\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\" stroke=\"#d8dee4\"/>\n\
             <text x=\"16\" y=\"28\" font-size=\"15\" font-weight=\"600\">From an add to the first instruction of its job</text>\n"
        );
        let step = [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0].into_iter().find(|step| end / step <= 10.0);
        let step = step.unwrap_or(100_000.0);
        for tick in (0..=(end / step) as usize).map(|n| n as f64 * step) {
            let (x, bottom) = (across(tick), height - 38.0);
            let label = thousands(tick as i64);
            let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#d8dee4\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#57606a\">{label}</text>",
                bottom + 16.0
            );
        }
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">µs</text>", width - 24.0, height - 6.0);
        for (n, span) in self.spans.iter().enumerate() {
            let y = top + row * n as f64;
            let colour = COLOURS[LANES.iter().position(|lane| *lane == span.lane).unwrap_or(0) % 2];
            let (x, wide) = (across(span.from), (across(span.to) - across(span.from)).max(1.5));
            let _ = writeln!(svg, "<text x=\"16\" y=\"{}\" fill=\"#57606a\">{}</text>", y + 14.0, span.lane);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{}\" width=\"{wide:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>",
                y + 3.0
            );
            let label = format!("{} ({})", span.what, thousands((span.to - span.from) as i64));
            // Beside its bar, where there is room.
            let (at, anchor) = if across(span.to) < width * 0.6 { (x + wide + 6.0, "start") } else { (x - 6.0, "end") };
            let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>", y + 14.0);
        }
        svg + "</svg>\n"
    }
}
