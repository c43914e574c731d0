//! The examples of each verb: `examples.txt`, in which a verb begins with `== VERB SUBVERB`, and an
//! example is a line that says what it does and a line that is typed.

/// All of them. They are looked through only where help or a manual page is asked for.
const ALL: &str = include_str!("examples.txt");
/// What begins a verb.
const MARK: &str = "== ";

/// What it does, and what is typed.
pub type Example = (&'static str, &'static str);

/// Returns the examples of a verb; of the program itself for an empty path.
pub fn of(path: &[String]) -> Vec<Example> {
    let wanted = path.join(" ");
    let mut lines = ALL.lines().skip_while(|line| line.strip_prefix(MARK).is_none_or(|verb| verb != wanted)).skip(1);
    let mut found = Vec::new();
    while let (Some(what), Some(typed)) = (lines.next(), lines.next()) {
        if what.is_empty() || what.starts_with(MARK) {
            break;
        }
        found.push((what, typed.trim_start()));
    }
    found
}
