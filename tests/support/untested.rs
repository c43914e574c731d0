//! What a test says where it cannot be made.

/// Says that `what` is not tested here, and what it needs. Where `TENURE_TEST_ALL` is set, as in CI, that is a failure.
///
/// # Panics
/// Where nothing may be left out.
pub fn not_tested(what: &str, needs: &str) {
    assert!(std::env::var_os("TENURE_TEST_ALL").is_none(), "{what} cannot be tested here: it needs {needs}");
    println!("NOT TESTED: {what} (it needs {needs})");
}
