//! Nix's signing keys: a name and an ed25519 key pair.

use std::fmt;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;

use crate::StoreError;

/// No key is longer.
const MOST: u64 = 64 << 10;

/// A secret key in the format of `nix-store --generate-binary-cache-key`: `name:base64(seed, public key)`.
/// Its `Debug` shows the name only.
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Reads a secret key from a file.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read, [`StoreError::BadKey`] when it is none.
    pub fn load(path: &Path) -> Result<SigningKey, StoreError> {
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(StoreError::io("reading the signing key", path))?;
        // A pipe is fine: it is the user's own word.
        file.take(MOST).read_to_end(&mut text).map_err(StoreError::io("reading the signing key", path))?;
        let text = String::from_utf8(text)
            .map_err(|_| StoreError::BadKey { file: Some(path.to_path_buf()), why: "it is not a text" })?;
        SigningKey::parse(&text).map_err(|error| match error {
            StoreError::BadKey { why, .. } => StoreError::BadKey { file: Some(path.to_path_buf()), why },
            other => other,
        })
    }

    /// Takes `name:base64`. White space around it does not matter.
    ///
    /// # Errors
    /// [`StoreError::BadKey`]; its message never holds any of the text.
    pub fn parse(text: &str) -> Result<SigningKey, StoreError> {
        let bad = |why| StoreError::BadKey { file: None, why };
        let (name, secret) = text.trim().split_once(':').ok_or_else(|| bad("there is no ':' after the key's name"))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(bad("the key has no name before the ':'"));
        }
        let bytes = STANDARD.decode(secret).map_err(|_| bad("what follows the ':' is not base64"))?;
        let pair: [u8; 64] = bytes.try_into().map_err(|bytes: Vec<u8>| {
            bad(if bytes.len() == 32 {
                "it is a public key, and the secret one is needed"
            } else {
                "it is not 64 bytes long"
            })
        })?;
        let key = ed25519_dalek::SigningKey::from_keypair_bytes(&pair)
            .map_err(|_| bad("its public half does not belong to its secret half"))?;
        Ok(SigningKey { name: name.to_string(), key })
    }

    /// `name:base64` of the public half, as `trusted-public-keys` takes it.
    #[must_use]
    pub fn public_key(&self) -> String {
        format!("{}:{}", self.name, STANDARD.encode(self.key.verifying_key().as_bytes()))
    }

    /// `name:base64` of the signature over `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        format!("{}:{}", self.name, STANDARD.encode(self.key.sign(message).to_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}
