//! SQLITE ONLY. One file per verb, its SQL beside it.
