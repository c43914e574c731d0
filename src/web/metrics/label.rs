//! Labels of metrics.

/// Queues that are named; jobs of further ones are counted together, as of [`OTHER`].
pub const QUEUES_MAX: usize = 200;
pub const OTHER: &str = "(other)";

pub type Labels = Vec<(String, String)>;

/// Returns labels.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
