//! What the screen shows at the usual sizes, with no jobs and with many, and with hostile texts.

use super::*;
use crate::cli::fixture;
use crate::cli::top::state::Command;
use crate::cli::top::state::tests::{job, snapshot};
use crate::job::{Advice, Reason, State as JobState};

/// Sizes that people have, and some that no person wants.
const SIZES: [(u16, u16); 8] = [(80, 24), (160, 50), (40, 12), (200, 60), (119, 30), (39, 24), (80, 16), (1, 1)];

fn screen(state: &State, (width, height): (u16, u16)) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(state, true, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |y: u16| {
        let mut x = 0;
        let mut line = String::new();
        while x < area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(text_width(symbol)).unwrap_or(1).max(1);
        }
        format!("{}\n", line.trim_end())
    };
    (0..area.height).map(line).collect()
}

/// A file with work of every kind.
fn busy() -> State {
    let mut live = Vec::new();
    let jobs = [
        (7, JobState::Running, "nightly", r#"["./backup.sh","--full"]"#, Some(r#"{"percent":62,"text":"copying"}"#)),
        (9, JobState::Running, "build", r#"["make","-j8","all"]"#, Some(r#"{"percent":8}"#)),
        (12, JobState::Running, "mail", r#"["./send","newsletter"]"#, None),
        (13, JobState::Queued, "build", r#"["make","test"]"#, None),
        (14, JobState::Queued, "build", r#"["make","install"]"#, None),
    ];
    for (id, state, label, command, progress) in jobs {
        let mut row = fixture::job(id, state);
        (row.label, row.command, row.progress) = (Some(label.into()), command.into(), progress.map(Into::into));
        row.hold = (id == 14).then_some(job::Hold::Dependency);
        live.push(JobInfo::of(row));
    }
    let mut failed = fixture::job(8, JobState::Failed);
    (failed.label, failed.error, failed.reason) = (Some("import".into()), Some("exit status 3".into()), Some(Reason::Exit));
    let ended = [JobInfo::of(failed), job(6, JobState::Done), job(5, JobState::Cancelled)];
    let mut state = State::new(snapshot(live, ended));
    (state.snapshot.picture.counts.running, state.snapshot.picture.counts.slots_taken) = (3, 3);
    state.snapshot.picture.counts.done = 1_204;
    state.snapshot.picture.counts.failed = 1;
    let problem = Advice::with_remedy("failures", "1 job has failed since a person looked: 8", "tenure seen");
    state.snapshot.problems = vec![problem];
    state.lines = (1..=40).map(|n| format!("copied part {n} of 64")).collect();
    state
}

/// The page shows both screens as they are drawn here. `TENURE_WRITE_DOCS=1` writes them.
#[test]
fn the_page_shows_what_is_drawn() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/top.md");
    let was = std::fs::read_to_string(&page).unwrap();
    let mut now = was.clone();
    for size in [(80, 24), (160, 50)] {
        let begin = format!("<!-- screen {}x{} -->\n", size.0, size.1);
        let from = now.find(&begin).expect("the page has the place of the screen") + begin.len();
        let to = from + now[from..].find("<!-- end -->").expect("and its end");
        now.replace_range(from..to, &format!("\n```text\n{}```\n\n", text(&screen(&busy(), size))));
    }
    if std::env::var_os("TENURE_WRITE_DOCS").is_some() {
        std::fs::write(&page, &now).unwrap();
    }
    assert!(was == now, "docs/top.md shows something else; TENURE_WRITE_DOCS=1 with this test writes it:\n{now}");
}

#[test]
fn each_part_is_seen_at_both_sizes() {
    for size in [(80, 24), (160, 50)] {
        let shown = text(&screen(&busy(), size));
        for part in [
            "3 of 4 slots busy",
            "1204 done, 1 failed",
            "problem: 1 job has failed",
            "Jobs 5",
            "███░░  62% cop",
            "./backup.sh --full",
            "queued (depend",
            "Queues 2",
            "slow",
            "paused",
            "Ended",
            "failed (exit)",
            "exit status 3",
            "Log of job 7: ./backup.sh",
            "copied part 40 of 64",
            "c cancel",
            "q",
        ] {
            assert!(shown.contains(part), "{part:?} at {size:?}:\n{shown}");
        }
    }
}

#[test]
fn no_text_of_a_job_becomes_a_control_character() {
    let evil = "a\x1b[2J\x1b]0;t\x07\u{9b}31m\u{202e}\u{200b}\n\r\t\0b漢字🚀e\u{301}";
    let mut row = fixture::job(7, JobState::Running);
    (row.label, row.queue, row.error) = (Some(evil.into()), evil.into(), Some(evil.into()));
    row.command = serde_json::json!(["echo", evil]).to_string();
    row.progress = Some(serde_json::json!({"percent": 1e300, "text": evil}).to_string());
    let mut ended = row.clone();
    (ended.id, ended.state, ended.finished_at) = (job::JobId(6), JobState::Failed, Some(3_000));
    let mut state = State::new(snapshot([JobInfo::of(row)], [JobInfo::of(ended)]));
    state.snapshot.picture.queues[0].name = evil.into();
    state.snapshot.problems = vec![Advice::with_remedy("x", evil, evil)];
    state.lines = vec![evil.into()];
    for step in 0..4 {
        match step {
            1 => state.message = Some(evil.into()),
            2 => (state.filter, state.asking) = ("a".into(), Asking::Filter),
            3 => state.help = true,
            _ => {}
        }
        for size in SIZES {
            for cell in &screen(&state, size).content {
                assert!(!cell.symbol().contains(escape::is_unsafe), "{:?} at {size:?}", cell.symbol());
            }
        }
    }
}

#[test]
fn an_empty_file_and_a_full_one_are_drawn() {
    let empty = State::new(snapshot([], []));
    assert!(text(&screen(&empty, (80, 24))).contains("no live jobs"));
    let mut full =
        State::new(snapshot((1..=1_000).map(|id| job(id, JobState::Running)), (0..50).map(|id| job(2_000 + id, JobState::Done))));
    for state in [&empty, &full] {
        SIZES.iter().for_each(|size| _ = screen(state, *size));
    }
    let end = crate::cli::top::keys::Key::End;
    assert_eq!(full.key(end), None::<Command>);
    let shown = text(&screen(&full, (80, 24)));
    assert!(shown.contains("  1000 running"), "the selected row is visible:\n{shown}");
    assert!(text(&screen(&full, (39, 24))).contains("too small"));
}

#[test]
fn a_wide_character_is_cut_whole() {
    assert_eq!(
        (cut("漢字漢字", 5), cut("漢字", 4), cut("abc", 3), cut("abcd", 3)),
        ("漢字…".into(), "漢字".into(), "abc".into(), "ab…".into())
    );
    assert_eq!(text_width(&cell("漢字漢字", 6)), 6);
    assert_eq!(cell("x", 3), "x  ");
}

#[test]
fn without_colours_no_cell_has_one() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 160, 50));
    draw(&busy(), false, &mut buffer);
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
}
