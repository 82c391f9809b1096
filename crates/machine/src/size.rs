//! Sizes in bytes, as people write them: `512M`, `4G`, `1.5T`. Exact: no floating point, no rounding.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a schema says in `format` where a size is wanted; the structural check looks for it.
pub(crate) const FORMAT: &str = "byte-size";

/// The largest size: file offsets are signed in Linux.
const MAX: u64 = i64::MAX as u64;

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

/// A number of bytes. Units are binary (K, M, G, T = powers of 1024), as in systemd-repart; `KiB` and `K` mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// From a count of bytes.
    pub const fn from_bytes(bytes: u64) -> Size {
        Size(bytes)
    }
    /// From a count of MiB.
    pub const fn from_mib(mib: u64) -> Size {
        Size(mib << 20)
    }
    /// The count of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// Nothing there.
    #[error("a size is missing; write for example `512M` or `4G`")]
    Empty,
    /// A minus sign.
    #[error("`{0}` is negative; a size is 0 or more")]
    Negative(String),
    /// A blank inside.
    #[error("`{0}` has a blank in it; write for example `512M` or `4G`")]
    Blank(String),
    /// It does not begin with a number, or the number is malformed.
    #[error("`{0}` is not a size; write a number and a unit, for example `512M`, `1.5G` or `4G`")]
    NotANumber(String),
    /// A decimal unit, which half the world reads as a binary one.
    #[error(
        "`{text}` is ambiguous: `{unit}` is 1000-based to some and 1024-based to others; write `{instead}` (1024-based)"
    )]
    Decimal {
        /// What was written.
        text: String,
        /// The unit in it.
        unit: String,
        /// The same number with the binary unit.
        instead: String,
    },
    /// A unit that is none of K, M, G, T.
    #[error("`{text}` has the unknown unit `{unit}`; units are K, M, G and T (1024-based), in capitals")]
    Unit {
        /// What was written.
        text: String,
        /// The unit in it.
        unit: String,
    },
    /// Not a whole number of bytes.
    #[error("`{0}` is not a whole number of bytes")]
    Fraction(String),
    /// More than a file or a disk can have.
    #[error("`{0}` is too large; the most is 8388607T (8 EiB)")]
    TooLarge(String),
}

impl FromStr for Size {
    type Err = SizeError;

    /// Reads `N`, `N.F` and a unit: none (bytes), `K`, `M`, `G`, `T`, or these with `iB`.
    fn from_str(text: &str) -> Result<Size, SizeError> {
        let shown = || cut(text.trim());
        if text.trim().is_empty() {
            return Err(SizeError::Empty);
        }
        if text.starts_with('-') {
            return Err(SizeError::Negative(shown()));
        }
        if text.chars().any(char::is_whitespace) {
            return Err(SizeError::Blank(shown()));
        }
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(SizeError::NotANumber(shown())),
            None => (number, ""),
        };
        if whole.is_empty() || fraction.contains('.') || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(SizeError::NotANumber(shown()));
        }
        let shift = shift_of(text, number, unit)?;
        // 19 digits and 40 bits fit into 128 bits; more digits are too large, or finer than a byte.
        let fraction = fraction.trim_end_matches('0');
        let whole: u128 = match whole.len() {
            0..=19 => whole.parse().map_err(|_| SizeError::NotANumber(shown()))?,
            _ => return Err(SizeError::TooLarge(shown())),
        };
        if fraction.len() > 18 {
            return Err(SizeError::Fraction(shown()));
        }
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or(0) };
        if !(parts << shift).is_multiple_of(scale) {
            return Err(SizeError::Fraction(shown()));
        }
        let bytes = (whole << shift) + (parts << shift) / scale;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes <= MAX => Ok(Size(bytes)),
            _ => Err(SizeError::TooLarge(shown())),
        }
    }
}

/// The beginning of a text, for a message.
fn cut(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shift_of(text: &str, number: &str, unit: &str) -> Result<u32, SizeError> {
    if unit.is_empty() || unit == "B" {
        return Ok(0);
    }
    for (letter, shift) in UNITS {
        let rest = unit.strip_prefix(letter);
        if rest == Some("") || rest == Some("iB") {
            return Ok(shift);
        }
        if unit.eq_ignore_ascii_case(&format!("{letter}B")) {
            let (text, unit, instead) = (cut(text), cut(unit), cut(&format!("{number}{letter}")));
            return Err(SizeError::Decimal { text, unit, instead });
        }
    }
    if !unit.chars().next().is_some_and(char::is_alphabetic) {
        return Err(SizeError::NotANumber(cut(text)));
    }
    Err(SizeError::Unit { text: cut(text), unit: cut(unit) })
}

impl fmt::Display for Size {
    /// The shortest exact form: a whole number with the greatest unit that divides it. It parses to the same size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, shift) in UNITS {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return f.pad(&format!("{}{letter}", self.0 >> shift));
            }
        }
        f.pad(&self.0.to_string())
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 512M or a number of bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                self.visit_str(&bytes.to_string())
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                self.visit_str(&bytes.to_string())
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: a number and a 1024-based unit K, M, G or T (`512M`, `512MiB`, `1.5G`), or a number of bytes.",
            "type": ["string", "integer"],
            "format": FORMAT,
            "pattern": "^(0|[1-9][0-9]{0,18})(\\.[0-9]+)?([KMGT](iB)?|B)?$",
            "minimum": 0,
            "maximum": MAX,
            "examples": ["512M", "4G"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> u64 {
        text.parse::<Size>().unwrap_or_else(|e| panic!("{text}: {e}")).bytes()
    }

    #[test]
    fn sizes_are_exact_and_binary() {
        assert_eq!(bytes("0"), 0);
        assert_eq!(bytes("1234567"), 1_234_567);
        assert_eq!(bytes("512B"), 512);
        assert_eq!(bytes("4K"), 4096);
        assert_eq!(bytes("512M"), 512 << 20);
        assert_eq!(bytes("512MiB"), 512 << 20);
        assert_eq!(bytes("1.5G"), 3 << 29);
        assert_eq!(bytes("0.5T"), 1 << 39);
        assert_eq!(bytes("1.0"), 1);
        assert_eq!(bytes("9223372036854775807"), MAX);
        assert_eq!(bytes("8388607T"), 8_388_607 << 40);
    }

    #[test]
    fn wrong_sizes_are_told_apart() {
        let error = |text: &str| text.parse::<Size>().expect_err(text).to_string();
        assert!(error("").contains("missing"));
        assert!(error("-1").contains("negative"));
        assert!(error("10 GB B").contains("blank"));
        assert!(error("10GB").contains("write `10G`"));
        assert!(error("10mb").contains("write `10M`"));
        assert!(error("10m").contains("capitals"));
        assert!(error("10X").contains("unknown unit `X`"));
        assert!(error("99999999999999999999").contains("too large"));
        assert!(error("8388608T").contains("too large"));
        assert!(error("0.1K").contains("whole number of bytes"));
        assert!(error("0.3").contains("whole number of bytes"));
        for odd in ["M", "1.", ".5G", "1.2.3G", "1e3", "012", "1,5G", "+1", "٣M", "½G", "0x10", "4G!"] {
            assert!(odd.parse::<Size>().is_err(), "{odd}");
        }
    }

    #[test]
    fn display_parses_to_the_same_size() {
        for n in [0, 1, 1023, 1024, 1536, 512 << 20, 3 << 29, 1 << 40, MAX, (1 << 40) + 1] {
            let size = Size::from_bytes(n);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert_eq!(Size::from_mib(1536).to_string(), "1536M");
        assert_eq!(Size::from_mib(2048).to_string(), "2G");
    }
}
