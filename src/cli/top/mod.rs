//! `tenure top`: what happens now, on a terminal.
//!
//! ```text
//! the file ──read──▶ Snapshot ─┐
//!                              ├─▶ State ──draw──▶ cells ──terminal──▶ what has changed
//! keys ────────────────────────┘     └──▶ Command ──▶ the facade
//! ```
//!
//! `state`, `keys`, `layout`, `draw` and `log_text` are pure. Reading changes nothing; only a key
//! that asks for a change opens the file for writing. Keys, signals and the file are waited for in
//! one place (`verbs::top`), and what is drawn is what has changed.
//!
//! Deliberately absent: a thread, and the mouse.

pub mod draw;
pub mod keys;
pub mod layout;
pub mod log_text;
pub mod read;
pub mod state;
pub mod terminal;
