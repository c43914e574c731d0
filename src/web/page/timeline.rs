//! The timeline: who ran when, in which lane, with retries and losses.

use maud::{Markup, html};
use serde_json::Value;

use crate::clock;
use crate::escape;
use crate::web::app::App;
use crate::web::page::documents::{document, ms, number, rows, text};
use crate::web::page::frame::{Frame, page as shown};
use crate::web::page::parts::{Ui, badge, name, said, short};
use crate::web::query::row_id;
use crate::web::route::{Answered, Asked, Route, page};
use crate::web::routes::runs;

pub const ROUTES: &[Route] = &[page("/timeline", &["cursor", "done"], show)];

/// Runs that are drawn.
const RUNS: &str = "150";
/// Size of the drawing, in its own units.
const WIDTH: f64 = 1_000.0;
const ROW: f64 = 18.0;
/// Space for a name above its rows.
const HEAD: f64 = 18.0;
/// Shortest bar that can be seen and pointed at.
const BAR_MIN: f64 = 3.0;

/// A run, placed.
struct Placed<'a> {
    run: &'a Value,
    from: f64,
    width: f64,
    /// Its row within its lane.
    row: usize,
}

fn show(app: &App, asked: &Asked) -> Answered {
    let ui = Ui::of(app);
    let cursor = asked.query.get("cursor").map(|text| row_id(text, "page of runs")).transpose()?.map(|id| id.to_string());
    let query: Vec<(&str, &str)> =
        [("limit", RUNS)].into_iter().chain(cursor.as_deref().map(|cursor| ("cursor", cursor))).collect();
    let list = document(app, runs::runs, &[], &query)?;
    let all = rows(&list, "runs");
    let body = html! {
        div #lanes data-live {
            @if all.is_empty() { p.empty { "Nothing has run yet." } } @else { (drawing(&ui, all)) (table(&ui, all)) }
            nav.pages aria-label="Pages of the timeline" {
                @if cursor.is_some() { a href=(ui.to("/timeline")) { "Newest" } }
                @if let Some(next) = list["next"].as_str() { a rel="next" href=(ui.to(&format!("/timeline?cursor={next}"))) { "Older" } }
            }
        }
    };
    Ok(shown(app, asked, &Frame { title: "Timeline", place: "/timeline", body }))
}

/// Returns the lanes, or else the queues, each with its runs, and how many rows it needs.
fn lanes<'a>(all: &'a [Value], first_ms: i64, span_ms: f64, now_ms: i64) -> Vec<(String, Vec<Placed<'a>>, usize)> {
    let mut lanes: Vec<(String, Vec<Placed<'a>>, usize)> = Vec::new();
    let mut ends: Vec<Vec<f64>> = Vec::new();
    for run in all.iter().rev() {
        let name = match run["lane"].as_str() {
            Some(lane) => format!("lane {lane}"),
            None => format!("queue {}", text(run, "queue")),
        };
        let at = lanes.iter().position(|(known, ..)| *known == name).unwrap_or_else(|| {
            lanes.push((name, Vec::new(), 0));
            ends.push(Vec::new());
            lanes.len() - 1
        });
        let begin = ms(&run["started_at"]).or(ms(&run["claimed_at"])).unwrap_or(first_ms);
        let end = ms(&run["ended_at"]).unwrap_or(now_ms).max(begin);
        let from = (begin - first_ms) as f64 / span_ms * WIDTH;
        let width = ((end - begin) as f64 / span_ms * WIDTH).max(BAR_MIN);
        let row = ends[at].iter().position(|end| *end <= from).unwrap_or_else(|| {
            ends[at].push(0.0);
            ends[at].len() - 1
        });
        ends[at][row] = from + width + 1.0;
        lanes[at].1.push(Placed { run, from, width, row });
        lanes[at].2 = ends[at].len();
    }
    lanes.sort_by(|a, b| a.0.cmp(&b.0));
    lanes
}

fn drawing(ui: &Ui<'_>, all: &[Value]) -> Markup {
    let now_ms = ui.now.timestamp().as_millisecond();
    let begin = |run: &Value| ms(&run["started_at"]).or(ms(&run["claimed_at"]));
    let first_ms = all.iter().filter_map(begin).min().unwrap_or(now_ms);
    let last_ms = all.iter().map(|run| ms(&run["ended_at"]).unwrap_or(now_ms)).max().unwrap_or(now_ms);
    let span_ms = ((last_ms - first_ms).max(1)) as f64;
    let lanes = lanes(all, first_ms, span_ms, now_ms);
    let height: f64 = lanes.iter().map(|(_, _, rows)| HEAD + *rows as f64 * ROW).sum();
    let tops = lanes.iter().scan(0.0, |top, (_, _, rows)| Some(std::mem::replace(top, *top + HEAD + *rows as f64 * ROW)));
    let tops: Vec<f64> = tops.collect();
    let label = format!("{} runs in {}, by lane; the table below has the same", all.len(), clock::between(first_ms, last_ms));
    html! {
        div.scroll tabindex="0" role="region" aria-label="Timeline" {
            svg.timeline viewBox=(format!("0 0 {WIDTH} {height}")) role="group" aria-label=(label) {
                @for ((name, placed, _), y) in lanes.iter().zip(tops) {
                    line.rule x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                    text x="2" y=(y + 13.0) { (escape::line(name)) }
                    @for one in placed { (bar(ui, one, y + HEAD)) }
                }
            }
        }
        p.row.scale { span { (clock::local(first_ms, &ui.now)) } span.grow {} span { (clock::local(last_ms, &ui.now)) } }
        p.row.legend { span.key.good { "done" } span.key.bad { "failed or lost" } span.key.busy { "running" } span.key.plain { "cancelled, or to be tried again" } span { "↻ a further attempt" } }
    }
}

/// Returns the class of a run in the drawing.
fn kind(run: &Value) -> &'static str {
    match run["outcome"].as_str() {
        None => "busy",
        Some("done") => "good",
        Some("lost") => "bad lost",
        Some("failed") => "bad",
        Some(_) => "plain",
    }
}

fn bar(ui: &Ui<'_>, one: &Placed<'_>, top: f64) -> Markup {
    let (run, y) = (one.run, top + one.row as f64 * ROW);
    let attempt = number(run, "attempt");
    let outcome = run["outcome"].as_str().unwrap_or("running");
    let words =
        format!("job {}, run {}, attempt {attempt}: {outcome} {}", run["job"], run["id"], escape::line(text(run, "reason")));
    html! {
        a href=(ui.to(&format!("/jobs/{}", run["job"]))) aria-label=(words) {
            rect class=(kind(run)) x=(format!("{:.2}", one.from)) y=(y) width=(format!("{:.2}", one.width)) height=(ROW - 3.0) rx="2" { title { (words) } }
            @if one.width > 34.0 { text.inside x=(format!("{:.2}", one.from + 4.0)) y=(y + 11.0) { (run["job"]) @if attempt > 1 { " ↻" (attempt) } } }
        }
    }
}

fn table(ui: &Ui<'_>, all: &[Value]) -> Markup {
    html! {
        details { summary { "As a table" }
            table {
                thead { tr { th.id { "Job" } th { "What" } th { "Lane" } th.num { "Attempt" } th { "Outcome" } th { "Started" } th.num { "Took" } } }
                tbody { @for run in all { tr {
                    td.id { (ui.job(&run["job"])) }
                    td.what { (name(run)) }
                    td data-name="Lane" { @if let Some(lane) = run["lane"].as_str() { (short(lane)) } @else { span.dim { "queue " (short(text(run, "queue"))) } } }
                    td.num data-name="Attempt" { (run["attempt"]) }
                    td data-name="Outcome" { (badge(run["outcome"].as_str().unwrap_or("running"))) " " span.why { (said(text(run, "reason"))) @if run["adopted"] == true { " adopted" } } }
                    td data-name="Started" { (ui.local(&run["started_at"])) }
                    td.num data-name="Took" { (ui.took(&run["started_at"], &run["ended_at"])) }
                } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_of_a_lane_that_overlap_have_rows_of_their_own() {
        let run = |id: i64, lane: Option<&str>, from: &str, to: Option<&str>| json!({"id": id, "job": id, "lane": lane, "queue": "q", "claimed_at": from, "started_at": from, "ended_at": to});
        let at = |second: u32| format!("1970-01-01T00:00:{second:02}.000Z");
        let all = [
            run(4, None, &at(8), None),
            run(3, Some("l"), &at(6), Some(&at(9))),
            run(2, Some("l"), &at(1), Some(&at(5))),
            run(1, Some("l"), &at(0), Some(&at(4))),
        ];
        let lanes = lanes(&all, 0, 10_000.0, 10_000);
        let shape: Vec<(&str, Vec<usize>, usize)> =
            lanes.iter().map(|(name, placed, rows)| (name.as_str(), placed.iter().map(|one| one.row).collect(), *rows)).collect();
        assert_eq!(shape, [("lane l", vec![0, 1, 0], 2), ("queue q", vec![0], 1)]);
        assert!(
            lanes.iter().flat_map(|(_, placed, _)| placed).all(|one| one.from >= 0.0 && one.from + one.width <= WIDTH + BAR_MIN)
        );
    }
}
