//! One store path: `/nix/store/<hash part>-<name>`, checked.

use std::fmt;
use std::str::FromStr;

use nix_derivation::{CAHash, DerivationModuloHash, NixHash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{STORE_DIR, StoreError};

/// Length of the hash part: 20 bytes in Nix's base 32.
const HASH_PART: usize = 32;

/// The path of something in the store. Ordered as text, which is the order in which Nix sorts references.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePath {
    /// `<hash part>-<name>`.
    base_name: String,
}

impl StorePath {
    /// Takes `/nix/store/<hash part>-<name>` and nothing below it.
    ///
    /// # Errors
    /// [`StoreError::BadPath`].
    pub fn from_absolute(text: &str) -> Result<StorePath, StoreError> {
        let bad = |why: &str| StoreError::BadPath { text: text.to_string(), why: why.to_string() };
        let rest = text.strip_prefix(STORE_DIR).ok_or_else(|| bad("it does not start with /nix/store/"))?;
        let base = rest.strip_prefix('/').ok_or_else(|| bad("it does not start with /nix/store/"))?;
        if base.contains('/') {
            return Err(bad("it goes on below the store path"));
        }
        StorePath::from_basename(base).map_err(|error| match error {
            StoreError::BadPath { why, .. } => bad(&why),
            other => other,
        })
    }

    /// Takes `<hash part>-<name>`.
    ///
    /// # Errors
    /// [`StoreError::BadPath`].
    pub fn from_basename(text: &str) -> Result<StorePath, StoreError> {
        let bad = |why: String| StoreError::BadPath { text: text.to_string(), why };
        let path = nix_derivation::StorePath::from_basename(text.as_bytes()).map_err(|e| bad(e.to_string()))?;
        check_name(path.name()).map_err(|why| bad(why.to_string()))?;
        Ok(StorePath { base_name: text.to_string() })
    }

    /// The name, without the hash part.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.base_name[HASH_PART + 1..]
    }

    /// `<hash part>-<name>`: the name of the file in the store folder.
    #[must_use]
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// The 32 characters before the name: what is looked for when references are searched.
    #[must_use]
    pub fn hash_part(&self) -> &str {
        &self.base_name[..HASH_PART]
    }

    /// The path of a tree that is named by its bytes (`fixed:r:sha256`) and refers to `references`, but not to itself;
    /// with the `ca` text that goes into the database.
    ///
    /// # Errors
    /// [`StoreError::BadName`] when the name is not one.
    pub fn content_addressed<'a>(
        name: &str,
        nar_sha256: [u8; 32],
        references: impl IntoIterator<Item = &'a StorePath>,
    ) -> Result<(StorePath, String), StoreError> {
        let ca = CAHash::Nar(NixHash::Sha256(nar_sha256));
        let bad = |why: String| StoreError::BadName { name: name.to_string(), why };
        check_name(name).map_err(|why| bad(why.to_string()))?;
        let references: Vec<_> = references.into_iter().map(StorePath::upstream).collect::<Result<_, _>>()?;
        let path =
            nix_derivation::store_path::build_ca_path(name, &ca, &references, false).map_err(|e| bad(e.to_string()))?;
        Ok((StorePath { base_name: path.to_basename() }, ca.to_nix_string()))
    }

    /// The path of something that is named by what it is made from; known before it is made, so that it can name
    /// itself. `inputs` must say everything the tree depends on.
    ///
    /// # Errors
    /// [`StoreError::BadName`] when the name is not one.
    pub fn input_addressed(name: &str, inputs: &[u8]) -> Result<StorePath, StoreError> {
        let bad = |why: String| StoreError::BadName { name: name.to_string(), why };
        check_name(name).map_err(|why| bad(why.to_string()))?;
        let digest: [u8; 32] = Sha256::digest(inputs).into();
        let path = nix_derivation::store_path::build_output_path(DerivationModuloHash::new(digest), "out", name)
            .map_err(|e| bad(e.to_string()))?;
        Ok(StorePath { base_name: path.to_basename() })
    }

    fn upstream(&self) -> Result<nix_derivation::StorePath, StoreError> {
        nix_derivation::StorePath::from_basename(self.base_name.as_bytes())
            .map_err(|e| StoreError::BadPath { text: self.base_name.clone(), why: e.to_string() })
    }
}

/// Newer Nix versions take such a name, Debian 12's does not.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.starts_with('.') { Err("the name starts with a dot") } else { Ok(()) }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE_DIR}/{}", self.base_name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StorePath {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<StorePath, StoreError> {
        StorePath::from_absolute(text)
    }
}

impl TryFrom<String> for StorePath {
    type Error = StoreError;

    fn try_from(text: String) -> Result<StorePath, StoreError> {
        StorePath::from_absolute(&text)
    }
}

impl From<StorePath> for String {
    fn from(path: StorePath) -> String {
        path.to_string()
    }
}
