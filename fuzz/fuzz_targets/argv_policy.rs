//! Any bytes as a command or as a policy are refused or parsed, and what is parsed comes back the
//! same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::job::ending::decide;
use tenure::job::retry::backoff_ms;
use tenure::job::{Argv, Exit, Facts, Policy, RunEnd};

fuzz_target!(|bytes: &[u8]| {
    let arguments: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if let Ok(argv) = Argv::new(arguments) {
        assert_eq!(Argv::from_json(&argv.to_json()), Ok(argv));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(argv) = Argv::from_json(text) {
        assert_eq!(Argv::from_json(&argv.to_json()), Ok(argv));
    }
    if let Ok(policy) = Policy::from_json(text) {
        assert_eq!(Policy::from_json(&policy.to_json()), Ok(policy.clone()));
        assert!(backoff_ms(&policy, u32::MAX, 1.0) <= policy.backoff_ms.map_or(u64::MAX, |(_, most)| most));
        let facts = Facts {
            attempts: 1,
            max_attempts: 2,
            deferrals: 0,
            failed_starts: 0,
            policy: &policy,
            cancel_open: false,
            is_of_user: false,
        };
        for code in [0, 1, 75] {
            decide(&facts, &RunEnd::Ended { exit: Exit::Code(code), cause: None, out_of_memory: false }, i64::MAX, 1.0);
        }
    }
});
