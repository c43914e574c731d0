//! Help and manual pages, made from the definition of the command line when they are asked for, so
//! that no other start pays for them.
//!
//! `groups` has the headings under which the verbs are listed, `examples` the examples of each
//! verb, `page` the help of a verb, `manual` its manual page. Short help (`-h`) has the first
//! paragraph of each option; long help (`--help`, `tenure help VERB`) and the manual have the rest
//! of it too, and the examples.
//!
//! Pure but for `page`, which prints.

pub(in crate::cli) mod examples;
pub(in crate::cli) mod groups;
pub(in crate::cli) mod manual;
pub(in crate::cli) mod page;
