//! What the store knows about a path beside its files: hash, size, references, signatures.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{SigningKey, StorePath};

/// What Nix calls a valid path's information.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathInfo {
    /// Which path.
    pub path: StorePath,
    /// SHA-256 of the tree written as a NAR.
    #[serde(with = "hex")]
    pub nar_hash: [u8; 32],
    /// Length of that NAR in bytes.
    pub nar_size: u64,
    /// The paths whose hash parts occur in the tree; the path itself among them if it names itself.
    pub references: BTreeSet<StorePath>,
    /// The content address (`fixed:r:sha256:…`) of a path that is named by its bytes.
    pub ca: Option<String>,
    /// `keyname:base64` signatures, sorted.
    pub signatures: Vec<String>,
    /// Seconds since 1970. Always 1 here: an image's bytes must not tell when it was made.
    pub registration_time: i64,
}

impl PathInfo {
    /// The text that a signature signs.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let references: Vec<String> = self.references.iter().map(StorePath::to_string).collect();
        format!("1;{};{};{};{}", self.path, self.nar_hash_base32(), self.nar_size, references.join(","))
    }

    /// Adds `key`'s signature, unless it is there.
    ///
    /// The store keeps no signatures of its own making (a build without a key must give the same bytes whether or not
    /// an earlier one had a key), so whoever writes a database, an image or a cache signs what it writes.
    pub fn sign(&mut self, key: &SigningKey) {
        let signature = key.sign(self.fingerprint().as_bytes());
        if let Err(at) = self.signatures.binary_search(&signature) {
            self.signatures.insert(at, signature);
        }
    }

    /// `sha256:` and the NAR's hash in base 16.
    #[must_use]
    pub fn nar_hash_hex(&self) -> String {
        format!("sha256:{}", to_hex(&self.nar_hash))
    }

    /// `sha256:` and the NAR's hash in Nix's base 32.
    #[must_use]
    pub fn nar_hash_base32(&self) -> String {
        format!("sha256:{}", nix_derivation::nixbase32::encode(&self.nar_hash))
    }
}

/// Bytes as lowercase hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads what [`to_hex`] wrote.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    // Without a branch for each digit: a listing has millions, which nobody can predict.
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|c| DIGITS[usize::from(c)]);
        all |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    (all < 16).then_some(bytes)
}

/// What each byte is as a digit in base 16; 0xff for what is none.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut n = 0;
    while n < 16 {
        digits[b"0123456789abcdef"[n] as usize] = n as u8;
        n += 1;
    }
    digits
};

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("sha256:{}", super::to_hex(hash)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_prefix("sha256:")
            .and_then(super::from_hex)
            .ok_or_else(|| D::Error::custom("expected sha256: and 64 hexadecimal digits"))
    }
}
