//! The parts that pages have in common: texts of jobs, times, badges, buttons.

use jiff::Zoned;
use maud::{Markup, html};
use serde_json::Value;

use crate::clock;
use crate::escape;
use crate::job::Argv;
use crate::run::machine::host_name;
use crate::units;
use crate::web::app::App;
use crate::web::page::documents::{ms, text};

/// Longest text of a job in a table, in characters; the whole one is on its own page.
const CELL_CHARS_MAX: usize = 120;

/// What a page knows of its surroundings.
pub struct Ui<'a> {
    /// Before each path of this server.
    pub base: &'a str,
    pub now: Zoned,
    /// The name of this machine: a person may have the pages of several in tabs.
    pub host: String,
    /// The identity of the file, which the forms name.
    pub file: String,
}

impl<'a> Ui<'a> {
    pub fn of(app: &'a App) -> Self {
        Self { base: &app.setup.base, now: app.now(), host: host_name(), file: app.file_identity() }
    }

    /// Returns a path of this server as a browser asks for it.
    pub fn to(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The name of the time zone of this machine, in which times are shown.
    pub fn zone(&self) -> String {
        self.now.time_zone().iana_name().map_or_else(|| self.now.strftime("%:z").to_string(), str::to_owned)
    }

    fn now_ms(&self) -> i64 {
        self.now.timestamp().as_millisecond()
    }

    /// Shows how long ago a time is, or in how long; the time itself is its title.
    pub fn ago(&self, at: &Value) -> Markup {
        let Some(at_ms) = ms(at) else { return html! { span.none { "–" } } };
        let now_ms = self.now_ms();
        let words = match at_ms > now_ms {
            true => format!("in {}", clock::between(now_ms, at_ms)),
            false => format!("{} ago", clock::between(at_ms, now_ms)),
        };
        html! { time datetime=(clock::rfc3339(at_ms)) title=(clock::local(at_ms, &self.now)) { (words) } }
    }

    /// Shows a time as the machine's clock does.
    pub fn local(&self, at: &Value) -> Markup {
        match ms(at) {
            Some(at_ms) => html! { time datetime=(clock::rfc3339(at_ms)) { (clock::local(at_ms, &self.now)) } },
            None => html! { span.none { "–" } },
        }
    }

    /// Shows how long something took, or has taken until now.
    pub fn took(&self, from: &Value, to: &Value) -> Markup {
        match (ms(from), ms(to)) {
            (Some(from_ms), to_ms) => html! { (clock::between(from_ms, to_ms.unwrap_or_else(|| self.now_ms()))) },
            (None, _) => html! { span.none { "–" } },
        }
    }

    /// Shows a link to a job.
    pub fn job(&self, id: &Value) -> Markup {
        match id.as_i64() {
            Some(id) => html! { a href=(self.to(&format!("/jobs/{id}"))) { (id) } },
            None => html! { span.none { "–" } },
        }
    }

    /// Shows a text of ours about jobs, whose numbers are links.
    pub fn linked(&self, text: &str) -> Markup {
        let line = escape::line(text);
        html! { bdi { @for (words, id) in numbers(&line) { (words) @if let Some(id) = id { a href=(self.to(&format!("/jobs/{id}"))) { (id) } } } } }
    }

    /// Shows a link to a list of jobs.
    pub fn jobs_of(&self, key: &str, name: &str, shown: Markup) -> Markup {
        html! { a href=(self.to(&format!("/jobs?{key}={}", encoded(name)))) { (shown) } }
    }

    /// Shows a button that does something.
    pub fn button(&self, button: &Button<'_>) -> Markup {
        html! {
            form.button method="post" action=(self.to(&button.path)) {
                input type="hidden" name="back" value=(button.back);
                input type="hidden" name="file" value=(self.file);
                @for (name, value) in button.fields {
                    input type="hidden" name=(name) value=(value);
                }
                button.quiet[button.is_quiet].danger[button.asks.is_some()] type="submit" data-ask=[button.asks]
                    aria-label=[button.of.as_ref().map(|of| format!("{} {}", button.name, escape::line(of)))] { (button.name) }
            }
        }
    }
}

/// A form that is one button.
#[derive(Default)]
pub struct Button<'a> {
    pub path: String,
    pub name: &'a str,
    /// What it is about, where the table around it says so to the eye alone.
    pub of: Option<String>,
    /// The page that is shown afterwards.
    pub back: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
    /// What the script asks before.
    pub asks: Option<&'a str>,
    pub is_quiet: bool,
}

/// Returns a text in pieces, each with the number of a job that follows it.
fn numbers(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut all = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest[from..].find("job ").map(|at| from + at + "job ".len()) {
        let digits = rest[at..].bytes().take_while(u8::is_ascii_digit).count();
        let is_word = rest[..at - "job ".len()].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        from = at;
        if is_word && (1..=18).contains(&digits) {
            all.push((&rest[..at], Some(&rest[at..at + digits])));
            (rest, from) = (&rest[at + digits..], 0);
        }
    }
    all.push((rest, None));
    all
}

/// Shows a text of a job as one printable line, in the direction that it has by itself.
pub fn said(text: &str) -> Markup {
    html! { bdi { (escape::line(text)) } }
}

/// The same, shortened for a table.
pub fn short(text: &str) -> Markup {
    let line = escape::line(text);
    match line.char_indices().nth(CELL_CHARS_MAX) {
        None => html! { bdi { (line) } },
        Some((at, _)) => html! { bdi { (line[..at]) "…" } },
    }
}

/// Shows a text that may be missing.
pub fn maybe(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.none { "–" } },
        Value::String(text) => said(text),
        other => html! { (other.to_string()) },
    }
}

/// Returns a command as a person would type it; any other value unchanged.
pub fn command(value: &Value) -> String {
    let json = value.to_string();
    Argv::from_json(&json).map_or_else(|_| value.as_str().map_or(json, str::to_owned), |argv| escape::quote(&argv))
}

/// Shows the name of a job: its label, or else its command.
pub fn name(job: &Value) -> Markup {
    match job["label"].as_str() {
        Some(label) => html! { span.label { (short(label)) } " " code.dim { (short(&command(&job["command"]))) } },
        None => html! { code { (short(&command(&job["command"]))) } },
    }
}

/// Shows the state of a job, with what holds it or why it has ended.
pub fn state(job: &Value) -> Markup {
    let state = text(job, "state");
    let more = match state {
        "queued" if job["hold"] == "user" => "held",
        "queued" => text(job, "hold"),
        "running" if job["cancelling"] == true => "cancelling",
        "running" => text(&job["suspension"], "state"),
        "done" => "",
        _ => text(job, "reason"),
    };
    html! { (badge(state)) @if !more.is_empty() && more != state { " " span.why { (escape::line(more)) } } }
}

/// Shows a word with the colour of its meaning, which the word says too.
pub fn badge(word: &str) -> Markup {
    let kind = match word {
        "done" | "released" => "good",
        "failed" | "lost" | "dead" => "bad",
        "running" => "busy",
        "queued" | "ready" => "waits",
        _ => "plain",
    };
    html! { span class=(format!("badge {kind}")) { (escape::line(word)) } }
}

/// Shows a size in bytes.
pub fn size(value: &Value) -> Markup {
    match value.as_u64() {
        Some(bytes) => html! { (units::size_text(bytes)) },
        None => html! { span.none { "–" } },
    }
}

/// Shows a row of names and values.
pub fn pairs(rows: &[(&str, Markup)]) -> Markup {
    html! { dl.pairs { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } } }
}

/// Returns a path with a query, without the cursor of a page.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let kept = pairs.iter().filter(|(key, _)| *key != "cursor");
    format!("{path}?{}", kept.map(|(key, value)| format!("{key}={}", encoded(value))).collect::<Vec<_>>().join("&"))
}

/// Returns a text as a part of a path or a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_numbers_of_jobs_in_a_text_are_found() {
        assert_eq!(numbers("it waits for job 12 to be done"), [("it waits for job ", Some("12")), (" to be done", None)]);
        assert_eq!(numbers("job 1, job 2"), [("job ", Some("1")), (", job ", Some("2")), ("", None)]);
        for text in ["", "job", "job x", "the jobs 3", "äjob 7", "job 1234567890123456789"] {
            assert_eq!(numbers(text), [(text, None)]);
        }
    }

    #[test]
    fn a_text_of_a_job_is_one_line_and_never_markup() {
        let shown = said("<script>alert(1)</script>\n\x1b[31m\u{202e}x\"'&").into_string();
        assert_eq!(shown, "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;\\n\\x1b[31m\\u{202e}x&quot;'&amp;</bdi>");
        let long = short(&"ä".repeat(1_000_000)).into_string();
        assert!(long.chars().count() < 150 && long.ends_with("…</bdi>"));
    }

    #[test]
    fn a_name_is_encoded_as_one_part_of_a_path() {
        assert_eq!(encoded("a b/ü?#&=%"), "a%20b%2F%C3%BC%3F%23%26%3D%25");
        let job = json!({"state": "failed", "reason": "exit", "label": null, "command": ["echo", "a b"]});
        assert!(state(&job).into_string().contains("failed</span> <span class=\"why\">exit"));
        assert!(name(&job).into_string().contains("echo 'a b'"));
        assert_eq!(command(&json!("not json \u{1b}")), "not json \u{1b}");
    }
}
