//! What a worker starts without a hint from outside: its own commits wake the loops that they concern.

use crate::support::Nest;

/// Ends well if so many others of its kind are inside at the same time, and not if they come one after another.
const MEETS_TWO_OTHERS: &str =
    "touch in.$TENURE_JOB; n=0; until [ $(ls in.* | wc -l) -eq 3 ]; do n=$((n+1)); [ $n -lt 80 ] || exit 1; sleep 0.1; done";

#[test]
fn every_job_that_one_end_frees_starts_at_once() {
    let nest = Nest::new();
    let first = nest.sh(&[], "until [ -e go ]; do sleep 0.05; done").to_string();
    let freed = [(); 3].map(|()| nest.sh(&["--after", &first], MEETS_TWO_OTHERS));
    let worker = nest.work(&["--slots", "4", "--tick", "60s"]);
    nest.until_pid(first.parse().unwrap());
    std::fs::write(nest.file("go"), "").unwrap();
    for job in freed {
        assert_eq!(nest.until_ended(job)["state"], "done", "job {job}");
    }
    assert_eq!(worker.stop(), 0);
}
