//! What the command brings to all that is made: the cache, itself, and its manual.

use anyhow::Context;
use cairn_make::Kit;
use cairn_store::SigningKey;

use crate::{cache, docs};

/// All of it; `key` signs what is made.
pub fn kit(key: Option<SigningKey>) -> anyhow::Result<Kit> {
    Ok(Kit {
        cache: cache::folder()?,
        key,
        program: std::env::current_exe().context("finding the running program")?,
        usr: docs::below_usr()?,
    })
}
