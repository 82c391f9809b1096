//! What decides the bytes of a new disk, as one hash: the same key, the same bytes.

use std::fmt;

use cairn_store::to_hex;
use sha2::{Digest, Sha256};

/// Takes fields in their order. Each has a name and a length in front, so that no two lists of fields are one text.
#[derive(Debug, Clone, Default)]
pub(super) struct Key(Sha256);

impl Key {
    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Adds a field that is a text.
    pub fn text(&mut self, name: &str, value: impl fmt::Display) {
        self.field(name, value.to_string());
    }

    /// The hash in base 16.
    pub fn hex(self) -> String {
        to_hex(&self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lists_of_fields_are_one() {
        let of = |fields: &[(&str, &str)]| {
            let mut key = Key::default();
            fields.iter().for_each(|(name, value)| key.text(name, value));
            key.hex()
        };
        let all = [
            of(&[("a", "bc")]),
            of(&[("ab", "c")]),
            of(&[("a", "b"), ("c", "")]),
            of(&[("a", "b"), ("", "c")]),
            of(&[("a", "c"), ("a", "b")]),
            of(&[("a", "b"), ("a", "c")]),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(of(&[("a", "bc")]), all[0]);
    }
}
