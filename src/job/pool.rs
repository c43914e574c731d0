//! Pools: counted things of the machine, of which a job uses some.

use std::collections::BTreeMap;

use super::names::shorten;

/// Most units of a pool.
pub const SIZE_MAX: u32 = 10_000;
/// Longest name of a pool, in characters.
const NAME_MAX: usize = 64;
/// Most pools that a job uses.
const USES_MAX: usize = 32;
/// Prefix of the variables that name the units of a job.
const VARIABLE_PREFIX: &str = "TENURE_POOL_";

/// Checks the name of a pool: a part of a variable's name, so that each pool has its own.
///
/// # Errors
/// The rule.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_word = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match is_word && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= NAME_MAX {
        true => Ok(()),
        false => Err(format!(
            "{:?} is not a name of a pool; it has 1 to {NAME_MAX} characters of a-z, 0-9 and _, and begins with a letter",
            shorten(name)
        )),
    }
}

/// Checks the size of a pool.
///
/// # Errors
/// The range.
pub fn check_size(size: i64) -> Result<(), String> {
    match (0..=i64::from(SIZE_MAX)).contains(&size) {
        true => Ok(()),
        false => Err(format!("a pool has 0 to {SIZE_MAX} units; it is {size}")),
    }
}

/// Checks what a job uses.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_uses(uses: &BTreeMap<String, u32>) -> Result<(), String> {
    if uses.len() > USES_MAX {
        return Err(format!("a job uses at most {USES_MAX} pools; it names {}", uses.len()));
    }
    for (name, amount) in uses {
        check_name(name)?;
        if !(1..=SIZE_MAX).contains(amount) {
            return Err(format!("a job uses 1 to {SIZE_MAX} of a pool; {name} is {amount}"));
        }
    }
    Ok(())
}

/// Parses `gpu=2`, or `gpu` for one.
///
/// # Errors
/// What is wrong with it.
pub fn parse_use(text: &str) -> Result<(String, u32), String> {
    let (name, amount) = text.split_once('=').unwrap_or((text, "1"));
    let amount = amount.parse().map_err(|_| format!("{:?} is not an amount; write gpu=1", shorten(amount)))?;
    check_uses(&BTreeMap::from([(name.to_owned(), amount)]))?;
    Ok((name.to_owned(), amount))
}

/// Collects what a job uses of each pool.
///
/// # Errors
/// A pool is named twice.
pub fn each_once(uses: &[(String, u32)]) -> Result<BTreeMap<String, u32>, String> {
    let all: BTreeMap<String, u32> = uses.iter().cloned().collect();
    match uses.iter().find(|(name, _)| uses.iter().filter(|(other, _)| other == name).count() > 1) {
        Some((name, _)) => Err(format!("--use names pool {name:?} twice; name it once, with the sum: --use {name}=2")),
        None => Ok(all),
    }
}

/// Returns `gpu=1, license=2`.
pub fn text(uses: &BTreeMap<String, u32>) -> String {
    uses.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(", ")
}

/// Returns the variable that names the units that a job has of a pool.
pub fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_named_once() {
        let uses = |all: &[(&str, u32)]| each_once(&all.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>());
        assert_eq!(uses(&[("gpu", 2), ("tape", 1)]).unwrap(), BTreeMap::from([("gpu".into(), 2), ("tape".into(), 1)]));
        assert!(uses(&[("gpu", 1), ("tape", 1), ("gpu", 1)]).unwrap_err().contains("\"gpu\" twice"));
    }

    #[test]
    fn a_use_is_a_name_and_an_amount() {
        assert_eq!(parse_use("gpu"), Ok(("gpu".into(), 1)));
        assert_eq!(parse_use("license_2=10000"), Ok(("license_2".into(), 10_000)));
        for wrong in
            ["", "=1", "gpu=", "gpu=0", "gpu=-1", "gpu=10001", "gpu=x", "GPU", "g-p", "2", "a b", "gpu=1=2", &"x".repeat(65)]
        {
            assert!(parse_use(wrong).is_err(), "{wrong:?}");
        }
        let many = (0..33).map(|n| (format!("p{n}"), 1)).collect();
        assert!(check_uses(&many).is_err());
        assert_eq!(variable("gpu_a"), "TENURE_POOL_GPU_A");
        assert!([0, 10_000].map(check_size).iter().all(Result::is_ok) && [-1, 10_001].map(check_size).iter().all(Result::is_err));
    }
}
