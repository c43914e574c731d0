//! A name for bytes: FNV-1a of 128 bits. It tells versions of a list apart; it is not a secret, and
//! a client that makes two texts of one name deceives itself alone.

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// Returns the name of these bytes.
pub fn of(bytes: &[u8]) -> String {
    format!("{:032x}", number(bytes))
}

/// The same as a number.
pub fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_published_function() {
        assert_eq!(of(b""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(of(b"a"), "d228cb696f1a8caf78912b704e4a8964");
    }
}
