//! What each key does, in every state.

use super::*;
use crate::cli::fixture;
use crate::cli::parse::time::here;
use crate::job::State as JobState;
use crate::store::job::counted::QueueRow;

pub(in crate::cli::top) fn snapshot(
    live: impl IntoIterator<Item = JobInfo>,
    ended: impl IntoIterator<Item = JobInfo>,
) -> Snapshot {
    let queue = |name: &str| QueueRow {
        name: name.into(),
        slots: None,
        paused: name == "slow",
        max_runtime_ms: None,
        launcher: None,
        launcher_options: Default::default(),
        running: 1,
        ready: 2,
        waiting: 3,
        pauses_on_failure: false,
        paused_by: None,
        paused_at: None,
    };
    let picture = Picture { queues: vec![queue("default"), queue("slow")], ..fixture::picture() };
    Snapshot {
        now: here(61_000),
        picture,
        problems: Vec::new(),
        jobs: live.into_iter().collect(),
        more: false,
        ended: ended.into_iter().collect(),
    }
}

pub(in crate::cli::top) fn job(id: i64, state: JobState) -> JobInfo {
    JobInfo::of(fixture::job(id, state))
}

fn state() -> State {
    let live = [job(7, JobState::Running), job(8, JobState::Queued), job(9, JobState::Queued)];
    State::new(snapshot(live, [job(6, JobState::Done), job(5, JobState::Failed)]))
}

fn type_in(state: &mut State, keys: &str) -> Vec<Command> {
    keys.chars().filter_map(|c| state.key(Key::Char(c))).collect()
}

#[test]
fn keys_ask_for_what_the_help_says() {
    let mut state = state();
    assert_eq!(
        type_in(&mut state, "hurp"),
        [Command::Hold(JobId(7)), Command::Release(JobId(7)), Command::Retry(JobId(7)), Command::Pause("default".into())]
    );
    state.key(Key::Tab);
    assert_eq!(type_in(&mut state, "jr"), [Command::Retry(JobId(5))]);
    state.key(Key::Tab);
    assert_eq!(type_in(&mut state, "pjp"), [Command::Pause("default".into()), Command::Resume("slow".into())]);
    state.key(Key::BackTab);
    assert_eq!(state.panel, Panel::Ended);
    assert_eq!((state.key(Key::Ctrl('z')), state.key(Key::Ctrl('l'))), (Some(Command::Stop), Some(Command::Redraw)));
    assert_eq!((state.key(Key::Char('q')), state.key(Key::Ctrl('c'))), (Some(Command::Quit), Some(Command::Quit)));
}

#[test]
fn a_cancel_is_asked_for_once_and_only_y_confirms_it() {
    let mut state = state();
    for no in [Key::Char('n'), Key::Enter, Key::Escape, Key::Char('c'), Key::Down] {
        assert_eq!(state.key(Key::Char('c')), None);
        assert_eq!(state.asking, Asking::Cancel(JobId(7)));
        assert_eq!(state.key(no), None);
        assert!(state.asking == Asking::Nothing && state.message.is_some(), "{no:?}");
    }
    state.key(Key::Char('c'));
    assert_eq!(state.key(Key::Char('y')), Some(Command::Cancel(JobId(7))));
    assert_eq!(state.asking, Asking::Nothing);
    state.key(Key::Char('c'));
    state.update(snapshot([job(8, JobState::Queued)], [job(7, JobState::Done)]));
    assert_eq!(state.asking, Asking::Nothing, "it has ended meanwhile, so y answers nothing");
    assert_eq!(state.key(Key::Char('y')), None);
    state.panel = Panel::Ended;
    state.key(Key::Char('c'));
    assert_eq!(state.asking, Asking::Nothing, "an ended job is not cancelled");
}

#[test]
fn a_selection_follows_its_job() {
    let mut state = state();
    type_in(&mut state, "j");
    assert_eq!(state.selected().map(|job| job.id), Some(JobId(8)));
    state.update(snapshot([job(1, JobState::Running), job(7, JobState::Running), job(8, JobState::Running)], []));
    assert_eq!((state.job.at, state.selected().map(|job| job.id)), (2, Some(JobId(8))));
    state.update(snapshot([job(1, JobState::Running)], [job(8, JobState::Done)]));
    assert_eq!(state.selected().map(|job| job.id), Some(JobId(8)), "its log stays when it ends");
    type_in(&mut state, "k");
    assert_eq!(state.selected().map(|job| job.id), Some(JobId(1)));
    state.update(snapshot([], []));
    assert!(state.selected().is_none());
    assert_eq!(type_in(&mut state, "jkGgchurpwl"), [], "an empty file has nothing to act on");
}

#[test]
fn a_filter_narrows_what_the_keys_are_about() {
    let mut state = state();
    type_in(&mut state, "/9q");
    assert_eq!((state.jobs().len(), state.filter.as_str()), (0, "9q"), "q is a letter here");
    state.key(Key::Backspace);
    state.key(Key::Enter);
    assert_eq!(state.jobs().len(), 1);
    assert_eq!(type_in(&mut state, "h"), [Command::Hold(JobId(9))]);
    state.key(Key::Escape);
    assert_eq!((state.jobs().len(), state.filter.as_str()), (3, ""));
    state.key(Key::Char('/'));
    (0..500).for_each(|_| _ = state.key(Key::Char('\u{202e}')));
    (0..500).for_each(|_| _ = state.key(Key::Char('x')));
    assert_eq!(state.filter.chars().count(), FILTER_CHARS_MAX);
    state.key(Key::Escape);
    assert_eq!((state.asking.clone(), state.filter.is_empty()), (Asking::Nothing, true));
}

#[test]
fn any_keys_in_any_order_lead_to_no_panic() {
    let keys =
        [Key::Up, Key::Down, Key::PageDown, Key::PageUp, Key::Home, Key::End, Key::Tab, Key::BackTab, Key::Enter, Key::Escape]
            .into_iter()
            .chain("jkgGwlchurp/?q".chars().map(Key::Char))
            .collect::<Vec<_>>();
    let mut state = state();
    let mut seed = 7_u64;
    for n in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.key(keys[(seed >> 33) as usize % keys.len()]);
        if n % 97 == 0 {
            let live = (0..(seed >> 40) as i64 % 5).map(|id| job(id + 7, JobState::Running));
            state.update(snapshot(live, [job(6, JobState::Done)]));
        }
    }
}
