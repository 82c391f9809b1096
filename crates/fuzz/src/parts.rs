//! An input for a reader of several texts: they stand one after the other, with a character between them that none of
//! these formats has (ASCII's record separator).

/// What stands between them.
pub const BETWEEN: char = '\u{1e}';

/// The texts of an input; those that it does not have are empty.
#[must_use]
pub fn parts<const N: usize>(input: &[u8]) -> [String; N] {
    let mut pieces = input.splitn(N, |byte| *byte == BETWEEN as u8);
    std::array::from_fn(|_| String::from_utf8_lossy(pieces.next().unwrap_or_default()).into_owned())
}

/// The input of these texts.
#[must_use]
pub fn whole(texts: &[&str]) -> Vec<u8> {
    texts.join(&BETWEEN.to_string()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_comes_apart() {
        assert_eq!(parts::<3>(&whole(&["a", "", "b\n"])), ["a", "", "b\n"]);
        assert_eq!(parts::<2>(b"a"), ["a", ""]);
        assert_eq!(parts::<2>(&whole(&["a", "b", "c"])), ["a", "b\u{1e}c"], "the last has the rest");
    }
}
