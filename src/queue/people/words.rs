//! What a user is told of the findings about a job of theirs.
//!
//! A finding about the worker or the machine may name paths and commands of other users, such as
//! what could not be started: its user learns that there is one, and root the rest.

use crate::job::Advice;

/// The findings that follow from the job, its queue and the jobs of its user.
const OF_JOB: [&str; 23] = [
    "all_paused",
    "behind_wide",
    "cancelled",
    "cancelling",
    "dependency",
    "dependency_broken",
    "ended",
    "expired",
    "expires",
    "lane",
    "latest_run",
    "left_behind",
    "memory_limit",
    "not_retried",
    "position",
    "queue_full",
    "queue_paused",
    "resuming",
    "running",
    "suspended",
    "time",
    "too_wide",
    "user",
];
/// The verbs that users have.
const VERBS: [&str; 10] = ["cancel", "hold", "logs", "ls", "release", "retry", "rm", "show", "wait", "why"];

/// Returns a finding as the job's user is told it.
pub(super) fn for_user(found: Advice) -> Advice {
    if OF_JOB.contains(&&*found.code) {
        let remedy = found.remedy.filter(|remedy| is_for_users(remedy));
        return Advice { remedy, ..found };
    }
    let text = match &*found.code {
        "slots" => "all slots of the system worker are busy",
        "memory" | "disk" | "load" => "the machine has too little to spare now; no job is claimed until then",
        "stuck" => "its end is not recorded, because something of it is left",
        _ => "something about the system worker or the machine keeps it from starting or ending",
    };
    Advice { code: found.code, text: text.to_owned(), remedy: Some("ask root, whom tenure why tells more".to_owned()) }
}

fn is_for_users(remedy: &str) -> bool {
    let verb = remedy.strip_prefix("tenure ").and_then(|rest| rest.split(' ').next());
    verb.is_none_or(|verb| VERBS.contains(&verb)) && !remedy.contains("--with-dependants")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_about_the_worker_says_nothing_of_others() {
        let found = |code| Advice::new(code, "chdir /home/bob/secret: no room", "rm /home/bob/secret".to_owned());
        for code in ["no_files", "worker_trouble", "claim_error", "slots", "stuck", "disk", "file_moved"] {
            let told = for_user(found(code));
            assert!(told.code == code && !told.sentence().contains("bob"), "{told:?}");
        }
    }

    #[test]
    fn a_finding_about_the_job_keeps_its_words() {
        let found = |remedy: &str| Advice::new("lane", "its lane is full", remedy.to_owned());
        assert_eq!(for_user(found("tenure wait 7")), found("tenure wait 7"));
        for refused in ["tenure lane set l --limit 3", "tenure retry 7 --with-dependants"] {
            let told = for_user(found(refused));
            assert_eq!((told.text.as_str(), told.remedy), ("its lane is full", None));
        }
    }
}
