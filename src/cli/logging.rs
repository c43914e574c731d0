//! Messages on stderr. Where that is the journal, each line begins with its priority, so that
//! `journalctl -p warning` finds it. No control character of a message reaches a terminal.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use env_logger::{Builder, Env};
use log::{Level, LevelFilter};

use crate::cli::parse::time;
use crate::cli::view::escape;
use crate::clock::Clock;
use crate::worker::job_log;

/// Under a service manager the journal adds the times; RUST_LOG sets the level.
pub fn start() {
    let mut builder = Builder::from_env(Env::default().default_filter_or(format!("warn,{}=info", job_log::TARGET)));
    builder.format(|out, record| {
        let text = escape::lines(record.args().to_string().trim_end());
        if is_journal() {
            return out.write_all(prefixed(priority(record.level()), &format!("{text}\n")).as_bytes());
        }
        let level = out.default_level_style(record.level());
        writeln!(out, "[{} {level}{:<5}{level:#}] {text}", time::utc(Clock::System.now_ms()), record.level())
    });
    builder.init();
}

/// Suppresses the lines for each job: for every command except a worker that must log them. Lines
/// that RUST_LOG requests stay.
pub fn without_jobs() {
    if std::env::var_os("RUST_LOG").is_none_or(|wanted| wanted.is_empty()) {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// The text of an error for stderr.
pub fn error_text(text: String) -> String {
    if is_journal() { prefixed(3, &text) } else { text }
}

/// Whether stderr is the stream that the service manager has connected to the journal.
fn is_journal() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        std::fs::metadata("/proc/self/fd/2").is_ok_and(|meta| named == format!("{}:{}", meta.dev(), meta.ino()))
    })
}

fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Each line is a separate entry.
fn prefixed(priority: u8, text: &str) -> String {
    text.split_inclusive('\n').map(|line| format!("<{priority}>{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_priority() {
        assert_eq!(prefixed(4, "one\ntwo\n"), "<4>one\n<4>two\n");
        assert_eq!(prefixed(3, ""), "");
        assert_eq!([Level::Error, Level::Warn, Level::Info, Level::Debug].map(priority), [3, 4, 6, 7]);
    }
}
