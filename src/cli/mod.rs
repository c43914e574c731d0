//! FACE. One file per subcommand; prints, never decides.

pub mod escape;
pub mod lines;
pub mod options;
pub mod select;
pub mod shown;
pub mod time;
pub mod values;
