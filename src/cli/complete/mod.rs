//! Completion: what a shell offers for the word that is being typed.
//!
//! ```text
//! TAB -> script of the shell -> tenure complete SHELL -- WORDS -> words -> walk -> values -> quote
//! -> script
//! ```
//!
//! `words` reads the line as the shell splits it, `walk` finds what is expected there in the
//! definition of the command line, `values` what there is of it (in the file, in the definition),
//! and `quote` writes it so that the shell reads it back as that one word. The scripts in `scripts`
//! take whole lines as words and evaluate nothing.
//!
//! Names come from the file, and may be hostile. What a terminal would obey, and what begins with a
//! dash, is not offered.

pub(in crate::cli) mod quote;
pub(in crate::cli) mod values;
pub(in crate::cli) mod walk;
pub(in crate::cli) mod words;
