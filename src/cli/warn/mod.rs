//! Warnings and refusals before a job is added.

pub(in crate::cli) mod long_log;
pub(in crate::cli) mod nested;
pub(in crate::cli) mod new_queues;
pub(in crate::cli) mod path_warning;
pub(in crate::cli) mod sound;
pub(in crate::cli) mod too_wide;
pub(in crate::cli) mod unread;
