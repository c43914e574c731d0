//! What a job waits for in a pool, as text. Pure.

use crate::job::{Advice, JobId};
use crate::queue::why::holder;
use crate::store::job::pool::Used;

/// Returns why a job waits for a pool, with what is free and who has the rest.
pub(super) fn obstacle(id: JobId, used: &Used) -> Advice {
    let (name, wants) = (&used.pool, used.amount);
    let Some(size) = used.size else {
        let text = format!("it uses pool {name:?}, which does not exist");
        return Advice::new("pool", text, format!("tenure pool set {name} --limit {wants}"));
    };
    if wants > size {
        let text = format!("it uses {wants} of pool {name:?}, which has {size}");
        return Advice::new(
            "pool_too_small",
            text,
            format!("tenure pool set {name} --limit {wants}, or tenure set {id} use={}", fewer(name, size)),
        );
    }
    let by: Vec<String> = used.by.iter().map(|(by, n)| format!("{n} by {}", holder::text(*by))).collect();
    let by = if by.is_empty() { String::new() } else { format!(" (taken: {})", by.join(", ")) };
    let free = (size - used.taken).max(0);
    if free >= wants
        && let Some(first) = used.first.filter(|first| *first != id)
    {
        let text = format!("job {first} comes first in pool {name:?}; it uses {wants}, and {free} of {size} are free{by}");
        return Advice::new("pool", text, format!("tenure why {first}"));
    }
    let text = format!("it uses {wants} of pool {name:?}, and {free} of {size} are free{by}");
    let remedy = holder::remedy(used.by.iter().map(|(by, _)| *by)).unwrap_or_else(|| "tenure pool ls".to_owned());
    Advice::new("pool", text, remedy)
}

/// What a job may use of a pool of this size.
fn fewer(name: &str, size: i64) -> String {
    if size > 0 { format!("{name}={size}") } else { "none".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::job::suspend::Holder;

    #[test]
    fn each_wait_names_the_pool_what_is_free_and_who_has_the_rest() {
        let used = Used {
            pool: "gpu".into(),
            amount: 2,
            size: Some(3),
            taken: 2,
            first: Some(JobId(7)),
            by: vec![(Holder { job: JobId(5), is_suspended: false }, 2)],
        };
        let of = |used: &Used| obstacle(JobId(7), used);
        let told = of(&used);
        assert_eq!(
            (told.text.as_str(), told.remedy.as_deref()),
            ("it uses 2 of pool \"gpu\", and 1 of 3 are free (taken: 2 by job 5)", Some("tenure wait 5"))
        );
        let behind = of(&Used { taken: 0, first: Some(JobId(4)), by: vec![], ..used.clone() });
        assert!(behind.text.starts_with("job 4 comes first") && behind.remedy.as_deref() == Some("tenure why 4"), "{behind:?}");
        let small = of(&Used { size: Some(1), ..used.clone() });
        assert_eq!(
            (&*small.code, small.remedy.as_deref()),
            ("pool_too_small", Some("tenure pool set gpu --limit 2, or tenure set 7 use=gpu=1"))
        );
        assert!(of(&Used { size: None, ..used }).text.contains("does not exist"));
    }
}
