//! A finding of a check of `doctor`.

use crate::job::Advice;
use crate::place::Place;

/// What a check found. The code of the advice is the name of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub ok: bool,
    pub advice: Advice,
    /// While this finding holds, `doctor --fix` is refused, or waits.
    pub keeps_fix: bool,
}

impl Finding {
    pub fn fine(name: &'static str, text: impl Into<String>) -> Self {
        Self { ok: true, advice: Advice::new(name, text, None), keeps_fix: false }
    }

    pub fn wrong(name: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::named(name, Advice::new(name, text, remedy.into()))
    }

    /// Something is wrong, and no command is known that helps.
    pub fn unhelped(name: &'static str, text: impl Into<String>) -> Self {
        Self::named(name, Advice::new(name, text, None))
    }

    /// Reports the advice of another place as that of this check.
    pub fn named(name: &'static str, advice: Advice) -> Self {
        Self { ok: false, advice: Advice { code: name.into(), ..advice }, keeps_fix: false }
    }

    /// Keeps `doctor --fix` from beginning while this finding holds.
    #[must_use]
    pub fn keeping_fix(self) -> Self {
        Self { keeps_fix: true, ..self }
    }
}

/// The directory beside the file, for a message.
pub fn shown(place: &Place) -> String {
    place.dir().display().to_string()
}
