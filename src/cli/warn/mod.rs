//! What is said, or refused, when a job is added, before it is in the file.

pub(in crate::cli) mod nested;
pub(in crate::cli) mod new_queues;
pub(in crate::cli) mod path_warning;
pub(in crate::cli) mod unread;
