//! Where each panel is. Pure.

use ratatui_core::layout::Rect;

/// Smallest screen that has all panels.
const COLUMNS_MIN: u16 = 40;
const ROWS_MIN: u16 = 16;
/// From this width on the pane is beside the lists.
const COLUMNS_WIDE: u16 = 120;
/// Rows of the header.
const HEADER_ROWS: u16 = 3;
/// Most rows of the queues and of the ends, with the title.
const QUEUES_ROWS_MAX: u16 = 8;

/// The parts of the screen. One without rows is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    pub header: Rect,
    pub jobs: Rect,
    pub queues: Rect,
    pub ended: Rect,
    pub pane: Rect,
    pub footer: Rect,
}

/// Said when there is no room.
pub fn too_small() -> String {
    format!("the terminal is too small: {COLUMNS_MIN}x{ROWS_MIN} (q ends)")
}

/// Divides the screen. `None`: it is too small.
pub fn places(area: Rect, queues: usize, is_large: bool) -> Option<Places> {
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        return None;
    }
    let header = Rect { height: HEADER_ROWS, ..area };
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    let body = Rect { y: area.y + HEADER_ROWS, height: area.height - HEADER_ROWS - 1, ..area };
    let nothing = Rect { height: 0, ..body };
    if is_large {
        return Some(Places { header, jobs: nothing, queues: nothing, ended: nothing, pane: body, footer });
    }
    let is_wide = area.width >= COLUMNS_WIDE;
    let (lists, pane) = if is_wide {
        let left = area.width * 3 / 5;
        (Rect { width: left, ..body }, Rect { x: body.x + left + 1, width: area.width - left - 1, ..body })
    } else {
        let rows = body.height * 3 / 10;
        (Rect { height: body.height - rows, ..body }, Rect { y: body.bottom() - rows, height: rows, ..body })
    };
    // A title and a head above the rows.
    let wanted = u16::try_from(queues).unwrap_or(u16::MAX).max(1).saturating_add(2);
    let queue_rows = wanted.min(QUEUES_ROWS_MAX).min(lists.height / 3).max(3);
    let ended_rows = (lists.height / 4).clamp(3, if is_wide { 12 } else { 6 });
    let job_rows = lists.height - queue_rows - ended_rows;
    let jobs = Rect { height: job_rows, ..lists };
    let queues = Rect { y: jobs.bottom(), height: queue_rows, ..lists };
    let ended = Rect { y: queues.bottom(), height: ended_rows, ..lists };
    Some(Places { header, jobs, queues, ended, pane, footer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_every_screen_are_apart_and_within() {
        for (width, height) in (1..200).step_by(7).flat_map(|width| (1..80).map(move |height| (width, height))) {
            for (queues, is_large) in [(0, false), (1, false), (1_000, false), (3, true)] {
                let area = Rect::new(0, 0, width, height);
                let Some(p) = places(area, queues, is_large) else {
                    assert!(width < COLUMNS_MIN || height < ROWS_MIN);
                    continue;
                };
                let parts = [p.header, p.jobs, p.queues, p.ended, p.pane, p.footer];
                for (n, part) in parts.iter().enumerate() {
                    assert!(area.union(*part) == area, "{part:?} in {area:?}");
                    assert!(parts[n + 1..].iter().all(|other| !part.intersects(*other)), "{p:?}");
                }
                assert!(is_large || p.jobs.height >= 2 && p.pane.height >= 2, "{p:?}");
            }
        }
    }
}
