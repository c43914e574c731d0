//! Any bytes as a cron line are refused or parsed, without a panic and without an endless loop; its occurrences come one after the other,
//! there and back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::job::Calendar;

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/New_York"];

fuzz_target!(|bytes: &[u8]| {
    let [zone, a, b, c, d, line @ ..] = bytes else { return };
    let Ok(line) = std::str::from_utf8(line) else { return };
    let zone = tenure::clock::zone(ZONES[usize::from(*zone) % ZONES.len()]).expect("a zone that there is");
    let Ok(calendar) = Calendar::new(line, zone) else { return };
    // From 1970 on, about every 34 minutes.
    let from = i64::from(u32::from_le_bytes([*a, *b, *c, *d])) * 2_000;
    let mut at = from;
    for _ in 0..20 {
        let Some(next) = calendar.next(at) else { break };
        assert!(next > at, "the next one is later");
        assert_eq!(calendar.last(next), Some(next), "it is the last one up to itself");
        assert!(calendar.last(next - 1).is_none_or(|last| last <= at), "there is none in between");
        let _shown = calendar.text(next);
        at = next;
    }
});
