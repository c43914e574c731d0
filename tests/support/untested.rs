//! What a test says where it cannot be made.

use std::io::Write;

/// Says that `what` is not tested here, and what it needs. Where `TENURE_TEST_ALL` is set, as in CI, that is a failure.
///
/// # Panics
/// Where nothing may be left out.
pub fn not_tested(what: &str, needs: &str) {
    assert!(std::env::var_os("TENURE_TEST_ALL").is_none(), "{what} cannot be tested here: it needs {needs}");
    left_out(what, needs);
}

/// Says the same of what no package brings to a machine: it is a failure nowhere.
pub fn left_out(what: &str, needs: &str) {
    // Not `println`: what a test that passes has printed is not shown.
    let _told = writeln!(std::io::stderr(), "NOT TESTED: {what} (it needs {needs})");
}
